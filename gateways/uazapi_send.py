"""uazapi sends. It takes a text for a template and replaces `{{name}}` in it, so two braces never stand together."""

from __future__ import annotations

import re
from typing import Any

from buffer.models import Conversation
from gateways.fields import first_text, object_of, text_of
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

JOINER = "\u200d"
"""The zero-width joiner. Between two braces it is not seen, and the text is no template any more."""

TRACK_SOURCE = "debouncer"
"""The name under which our messages come back in echoes, beside the mark of the part."""

TYPING_MS = 30_000
"""Milliseconds. It ends by itself with our next message, or after this time if there is none."""

ADVICE = {
    401: ": the token is wrong or the phone has logged the instance out (UAZAPI_TOKEN, or `send_key` of the route)",
    404: ": check the address (UAZAPI_URL, or `send_url` of the route)",
}
NO_NEW_CHATS = "WhatsApp does not let this account open new conversations now"
RULES = (
    Rule((503,), r"disconnected|not reconnectable", Misconfigured, "the instance is not connected to WhatsApp"),
    Rule(range(400, 600), r"\b463\b|reachout_timelock", Refused, NO_NEW_CHATS),
    Rule((500,), r"does not exist", Refused, "the group or the person does not exist"),
    Rule((400,), r"", Refused, "uazapi does not accept the number or the message"),
)


def request(target: Target, reply_to: ReplyTo, part: Part, part_id: PartId) -> SendRequest:
    """Return the request for one part."""
    fields = {"number": reply_to.conversation.peer, "track_source": TRACK_SOURCE, "track_id": str(part_id)}
    if part.kind != "text":
        return _post(target, "send/media", fields | _file_fields(part))
    fields |= {"text": no_template(part.text or "")}
    quoted = quoted_id(reply_to, part_id)
    beside: dict[str, Any] = {"delay": 0, "linkPreview": False, "async": False}
    return _post(target, "send/text", fields | beside | ({"replyid": quoted} if quoted else {}))


def _file_fields(part: Part) -> dict[str, Any]:
    fields = {"type": "ptt" if part.kind == "audio" else part.kind, "file": part.url or ""}
    beside = {"text": no_template(part.text or ""), "docName": part.filename if part.kind == "document" else None}
    return fields | {name: text for name, text in beside.items() if text}


def no_template(text: str) -> str:
    """Return a text with a joiner between braces that stand together."""
    return re.sub(r"\{(?=\{)", "{" + JOINER, text)


def plain_braces(text: str) -> str:
    """Return the text that `no_template` was given, from what came back."""
    return re.sub(r"\{\u200d(?=\{)", "{", text)


def text_size(text: str) -> int:
    """Return the number of characters that are sent for a text."""
    return len(no_template(text))


def _post(target: Target, path: str, fields: dict[str, Any]) -> SendRequest:
    return post_json(address(target.url, *path.split("/")), {"token": target.secret}, fields)


def read(response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what a response of uazapi means."""
    if is_success(response):
        body = object_in(response)
        written = first_text(body, "messageid", "id", "messageId") or text_of(object_of(body.get("key")).get("id"))
        message_id = whatsapp_id_in(written)
        return Sent(message_id) if message_id else without_id(response, reply_to)
    return (
        by_rules(RULES, response, reply_to)
        or by_status(response, reply_to, ADVICE)
        or unknown_error(response, reply_to)
    )


def whatsapp_id_in(written: str | None) -> str | None:
    """Return WhatsApp's own id in uazapi's `<number of the instance>:<id>`, and any other id unchanged."""
    return (written or "").rpartition(":")[2] or None


def typing(target: Target, reply_to: ReplyTo) -> SendRequest:
    """Return the request that shows that we type."""
    fields = {"number": reply_to.conversation.peer, "presence": "composing", "delay": TYPING_MS}
    return _post(target, "message/presence", fields)


def read_receipt(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that marks the last message as read. None if it has no id."""
    message_id = last_text(reply_to, "message_id")
    return _post(target, "message/markread", {"id": [message_id]}) if message_id else None


def probe(target: Target, conversation: Conversation) -> SendRequest:
    """Return the request for the state of the instance, which the token names."""
    return get(address(target.url, "instance", "status"), {"token": target.secret})


def read_probe(response: SendResponse) -> str | None:
    """Return None if the instance is connected, else what is wrong."""
    if not is_success(response):
        return probe_failed(response, ADVICE)
    body = object_in(response)
    states = (object_of(body.get("status")).get("connected"), body.get("connected"))
    words = (object_of(body.get("instance")).get("status"), body.get("status"))
    if True in states or "connected" in words:
        return None
    return "the instance is not connected to WhatsApp: connect it in uazapi"


SENDER = Sender(
    request,
    read,
    WHATSAPP_TEXT_MAX,
    WHATSAPP_CHANNEL_RATE,
    WHATSAPP_PERSON_RATE,
    text_size=text_size,
    own_id=str,
    media_kinds=frozenset({"image", "audio", "video", "document"}),
    typing=typing,
    typing_lasts_s=TYPING_MS / 1000,
    read_receipt=read_receipt,
    probe=probe,
    read_probe=read_probe,
)
