"""WAHA sends. Its engines answer in different forms on purpose, and some of them with an empty body."""

from __future__ import annotations

from functools import partial
from typing import Any

from buffer.models import Conversation
from gateways.fields import object_of, text_of
from gateways.sending import (
    InDoubt,
    Later,
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
    get,
    is_success,
    mime_type_of,
    object_in,
    post_json,
    probe_failed,
    quoted_id,
    unknown_error,
    whatsapp_id,
    whatsapp_jid,
    without_id,
)

STARTING_S = 10.0
"""Seconds. A session that starts works after about this time."""

STRIKES = 3
"""Such errors in a row for different people mean that the session must be restarted."""

TYPING_LASTS_S = 8.0
PATHS = {"image": "sendImage", "video": "sendVideo", "audio": "sendVoice", "document": "sendFile"}
ADVICE = {
    401: ": the key is wrong (WAHA_API_KEY, or `send_key` of the route)",
    404: ": check the address (WAHA_URL, or `send_url` of the route) and that the session exists there",
}
SICK_SESSION = partial(InDoubt, strikes=STRIKES)

RULES = (
    Rule(
        (422,),
        r"\bSTARTING\b",
        partial(Later, after_s=STARTING_S, whole_channel=True),
        "the session is starting",
    ),
    Rule((422,), r"session|WAHA Core", Misconfigured, "the session does not work: look at it in WAHA"),
    Rule((500,), r"\b463\b", Refused, "WhatsApp does not let this account open new conversations now"),
    Rule((500,), r"no sessions|server returned error 400", SICK_SESSION, "WhatsApp refuses what the session sends"),
    Rule((400, 422), r"", Refused, "WAHA does not accept the message"),
)


def request(target: Target, reply_to: ReplyTo, part: Part, part_id: PartId) -> SendRequest:
    """Return the request for one part. Only a text takes an id of ours."""
    fields = _chat(reply_to)
    if part.kind != "text":
        return _post(target, PATHS[part.kind], fields | _file_fields(part))
    fields |= {"text": part.text or "", "linkPreview": True, "id": whatsapp_id(part_id)}
    quoted = quoted_id(reply_to, part_id)
    return _post(target, "sendText", fields | {"reply_to": quoted} if quoted else fields)


def _chat(reply_to: ReplyTo) -> dict[str, Any]:
    conversation = reply_to.conversation
    return {"session": conversation.channel, "chatId": whatsapp_jid(conversation.peer, "@c.us")}


def _file_fields(part: Part) -> dict[str, Any]:
    file = {"url": part.url or "", "mimetype": mime_type_of(part)}
    fields: dict[str, Any] = {"file": file | ({"filename": part.filename} if part.filename else {})}
    if part.kind == "audio":
        return fields | {"convert": True}
    return fields | ({"caption": part.text} if part.text else {})


def _post(target: Target, path: str, fields: dict[str, Any]) -> SendRequest:
    return post_json(address(target.url, "api", path), {"x-api-key": target.secret}, fields)


def read(response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what a response of WAHA means. An empty 201 is a success without an id."""
    if not is_success(response):
        return (
            by_rules(RULES, response, reply_to)
            or by_status(response, reply_to, ADVICE)
            or unknown_error(response, reply_to)
        )
    message_id = _message_id(object_in(response))
    if message_id or not response.body.strip():
        return Sent(message_id)
    return without_id(response, reply_to)


def _message_id(body: dict[str, Any]) -> str | None:
    nested = object_of(body.get("id"))
    names = (object_of(body.get("key")).get("id"), nested.get("_serialized"), nested.get("id"), body.get("id"))
    return next((found for name in names if (found := whatsapp_id_in(text_of(name)))), None)


def whatsapp_id_in(written: str | None) -> str | None:
    """Return WhatsApp's own id in `true_<chat>_<id>[_<participant>]`, and any other id unchanged."""
    if not written or "_" not in written:
        return written or None
    parts = [part for part in written.split("_") if part and "@" not in part and part not in ("true", "false")]
    return parts[-1] if parts else None


def typing(target: Target, reply_to: ReplyTo) -> SendRequest:
    """Return the request that shows that we type."""
    return _post(target, "startTyping", _chat(reply_to))


def stop_typing(target: Target, reply_to: ReplyTo) -> SendRequest:
    """Return the request that shows that we have ended typing."""
    return _post(target, "stopTyping", _chat(reply_to))


def read_receipt(target: Target, reply_to: ReplyTo) -> SendRequest:
    """Return the request that marks the chat as seen."""
    return _post(target, "sendSeen", _chat(reply_to))


def probe(target: Target, conversation: Conversation) -> SendRequest:
    """Return the request for the state of the session."""
    return get(address(target.url, "api", "sessions", conversation.channel), {"x-api-key": target.secret})


def read_probe(response: SendResponse) -> str | None:
    """Return None if the session works, else what is wrong."""
    if not is_success(response):
        return probe_failed(response, ADVICE)
    status = text_of(object_in(response).get("status"))
    return None if status == "WORKING" else f"the session does not work (its status is {(status or 'missing')[:20]})"


SENDER = Sender(
    request,
    read,
    WHATSAPP_TEXT_MAX,
    WHATSAPP_CHANNEL_RATE,
    WHATSAPP_PERSON_RATE,
    own_id=whatsapp_id,
    media_kinds=frozenset({"image", "audio", "video", "document"}),
    typing=typing,
    typing_lasts_s=TYPING_LASTS_S,
    stop_typing=stop_typing,
    read_receipt=read_receipt,
    probe=probe,
    read_probe=read_probe,
)
