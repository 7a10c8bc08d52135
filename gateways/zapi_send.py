"""Z-API sends. Its 200 means queued: Z-API sends by and by, and after a reconnect even hours later.

The address holds a secret, the token of the instance, which is the account of the target.
"""

from __future__ import annotations

from typing import Any

from buffer.models import Conversation
from gateways.fields import first_text
from gateways.masking import masked_reason
from gateways.sending import (
    Misconfigured,
    Part,
    PartId,
    Refused,
    ReplyTo,
    Sender,
    SendRequest,
    SendResponse,
    SendResult,
    Sent,
    Target,
)
from gateways.sending_http import (
    WHATSAPP_CHANNEL_RATE,
    WHATSAPP_PERSON_RATE,
    WHATSAPP_TEXT_MAX,
    Rule,
    address,
    by_rules,
    by_status,
    error_text,
    extension_of,
    get,
    is_success,
    last_text,
    object_in,
    post_json,
    probe_failed,
    quoted_id,
    unknown_error,
    without_id,
)

CLIENT_ERRORS = frozenset(range(400, 500))
USUAL_EXTENSION = "pdf"
CLIENT_KEY_REFUSED = "Z-API does not accept the account's token (ZAPI_CLIENT_TOKEN, or `send_key` of the route)"
ADVICE = {
    401: ": the tokens are wrong (ZAPI_CLIENT_TOKEN, ZAPI_INSTANCE_TOKEN)",
    403: ": the tokens are wrong (ZAPI_CLIENT_TOKEN, ZAPI_INSTANCE_TOKEN)",
    404: ": check ZAPI_URL, ZAPI_INSTANCE_TOKEN and the id of the instance (the channel)",
}
RULES = (
    Rule(CLIENT_ERRORS - {429}, r"null not allowed|client-token", Misconfigured, CLIENT_KEY_REFUSED),
    Rule((400,), r"phone|number", Refused, "Z-API does not accept the person's number"),
    Rule((400,), r"", Misconfigured, "Z-API does not accept the request"),
)


def request(target: Target, reply_to: ReplyTo, part: Part, part_id: PartId) -> SendRequest:
    """Return the request for one part."""
    path, fields = _text(reply_to, part, part_id) if part.kind == "text" else _file(part)
    return _post(target, reply_to, path, {"phone": reply_to.conversation.peer} | fields)


def _text(reply_to: ReplyTo, part: Part, part_id: PartId) -> tuple[list[str], dict[str, Any]]:
    """Return the path and the fields of a text. `messageId` is the message to quote."""
    quoted = quoted_id(reply_to, part_id)
    return ["send-text"], {"message": part.text or ""} | ({"messageId": quoted} if quoted else {})


def _file(part: Part) -> tuple[list[str], dict[str, Any]]:
    if part.kind == "document":
        name = {"fileName": part.filename} if part.filename else {}
        return ["send-document", extension_of(part) or USUAL_EXTENSION], {"document": part.url or ""} | name
    caption = {"caption": part.text} if part.text and part.kind != "audio" else {}
    return [f"send-{part.kind}"], {part.kind: part.url or ""} | caption


def _post(target: Target, reply_to: ReplyTo, path: list[str], fields: dict[str, Any]) -> SendRequest:
    return post_json(_url(target, reply_to.conversation, path), _headers(target), fields, (target.account,))


def _url(target: Target, conversation: Conversation, path: list[str]) -> str:
    return address(target.url, "instances", conversation.channel, "token", target.account, *path)


def _headers(target: Target) -> dict[str, str]:
    return {"client-token": target.secret}


def read(response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what a response of Z-API means. After a 5xx nobody knows, after a 503 neither."""
    if is_success(response):
        message_id = first_text(object_in(response), "messageId", "id")
        return Sent(message_id) if message_id else without_id(response, reply_to)
    if response.status >= 500:
        return unknown_error(response, reply_to)
    return (
        by_rules(RULES, response, reply_to)
        or by_status(response, reply_to, ADVICE)
        or unknown_error(response, reply_to)
    )


def read_receipt(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that marks the last message as read. None if it has no id."""
    message_id = last_text(reply_to, "message_id")
    if message_id is None:
        return None
    fields = {"phone": reply_to.conversation.peer, "messageId": message_id}
    return _post(target, reply_to, ["read-message"], fields)


def probe(target: Target, conversation: Conversation) -> SendRequest:
    """Return the request for the state of the instance."""
    return get(_url(target, conversation, ["status"]), _headers(target), (target.account,))


def read_probe(response: SendResponse) -> str | None:
    """Return None if the instance is connected and its phone too, else what is wrong."""
    if not is_success(response):
        return probe_failed(response, ADVICE)
    body = object_in(response)
    if body.get("connected") is not True:
        text = masked_reason(error_text(response), ())
        return "the instance is not connected to WhatsApp" + (f": {text}" if text else "")
    offline = body.get("smartphoneConnected") is False
    return "the phone is offline: Z-API holds the messages and sends them when it is back" if offline else None


SENDER = Sender(
    request,
    read,
    WHATSAPP_TEXT_MAX,
    WHATSAPP_CHANNEL_RATE,
    WHATSAPP_PERSON_RATE,
    media_kinds=frozenset({"image", "audio", "video", "document"}),
    caption_kinds=frozenset({"image", "video"}),
    read_receipt=read_receipt,
    probe=probe,
    read_probe=read_probe,
)
