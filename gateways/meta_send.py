"""Meta's WhatsApp Cloud API sends. The code of an error decides what it means (gateways/meta_errors.py).

A 200 is no delivery: a message that is taken can still fail, and then a status of it comes to the webhook.
"""

from __future__ import annotations

from typing import Any

from buffer.models import Conversation
from gateways.fields import object_of, objects_of, text_of
from gateways.meta_errors import result_of_error
from gateways.sending import (
    Part,
    PartId,
    Rate,
    ReplyTo,
    Sender,
    SendRequest,
    SendResponse,
    SendResult,
    Sent,
    Target,
)
from gateways.sending_http import (
    WHATSAPP_TEXT_MAX,
    address,
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

TYPING_S = 26.0
"""Seconds. Meta shows the indicator for 25 s, and does not show it anew before that."""

CHANNEL_RATE = Rate(25, 20)
"""Meta allows 80 messages a second of a number, in and out together: half of them are left to the people."""

PERSON_RATE = Rate(6000, 10)
"""The pair limit: one message in 6 s, and a burst that is paid back after it. Its size is not certain, at most 45."""

ADVICE = {
    401: ": the access token is wrong (META_ACCESS_TOKEN, or `send_key` of the route)",
    403: ": the access token lacks a right (META_ACCESS_TOKEN, or `send_key` of the route)",
    404: ": check the address (META_URL, or `send_url` of the route)",
}


def request(target: Target, reply_to: ReplyTo, part: Part, part_id: PartId) -> SendRequest:
    """Return the request for one part. The mark of ours comes back in the statuses of the message."""
    fields = {
        "messaging_product": "whatsapp",
        **_recipient(reply_to),
        "type": part.kind,
        part.kind: _content(part),
        "biz_opaque_callback_data": str(part_id),
    }
    if quoted := quoted_id(reply_to, part_id):
        fields["context"] = {"message_id": quoted}
    return _post(target, reply_to.conversation, fields)


def _recipient(reply_to: ReplyTo) -> dict[str, str]:
    """Return the fields that name the person: by phone, by business-scoped user id, or the group."""
    peer = reply_to.conversation.peer
    if reply_to.is_group:
        return {"recipient_type": "group", "to": peer}
    is_phone = peer.isascii() and peer.isdigit()
    return {"recipient_type": "individual", "to" if is_phone else "recipient": peer}


def _content(part: Part) -> dict[str, Any]:
    if part.kind == "text":
        return {"preview_url": False, "body": part.text or ""}
    beside = {
        "caption": part.text if part.kind != "audio" else None,
        "filename": part.filename if part.kind == "document" else None,
    }
    return {"link": part.url or ""} | {name: text for name, text in beside.items() if text}


def _post(target: Target, conversation: Conversation, fields: dict[str, Any]) -> SendRequest:
    return post_json(address(target.url, conversation.channel, "messages"), _headers(target), fields)


def _headers(target: Target) -> dict[str, str]:
    return {"authorization": f"Bearer {target.secret}"}


def read(response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what a response means. A 2xx with an error is an error."""
    body = object_in(response)
    if error := object_of(body.get("error")):
        return result_of_error(error, response, reply_to)
    if not is_success(response):
        return by_status(response, reply_to, ADVICE) or unknown_error(response, reply_to)
    message = next(iter(objects_of(body.get("messages"))), {})
    message_id = text_of(message.get("id"))
    return Sent(message_id) if message_id else without_id(response, reply_to)


def typing(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that shows that we type, and marks the last message as read. None if it has no id."""
    return _read(target, reply_to, {"typing_indicator": {"type": "text"}})


def read_receipt(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that marks the last message as read. None if it has no id."""
    return _read(target, reply_to, {})


def _read(target: Target, reply_to: ReplyTo, beside: dict[str, Any]) -> SendRequest | None:
    message_id = last_text(reply_to, "message_id")
    if message_id is None:
        return None
    fields = {"messaging_product": "whatsapp", "status": "read", "message_id": message_id, **beside}
    return _post(target, reply_to.conversation, fields)


def probe(target: Target, conversation: Conversation) -> SendRequest:
    """Return the request for the phone number, which the token must be allowed to see."""
    return get(address(target.url, conversation.channel), _headers(target))


def read_probe(response: SendResponse) -> str | None:
    """Return None if the token sees the phone number, else what is wrong."""
    body = object_in(response)
    if is_success(response) and "error" not in body:
        return None if body.get("id") else "Meta's answer does not have the phone number: check META_URL"
    return probe_failed(response, ADVICE)


SENDER = Sender(
    request,
    read,
    WHATSAPP_TEXT_MAX,
    CHANNEL_RATE,
    PERSON_RATE,
    own_id=str,
    media_kinds=frozenset({"image", "audio", "video", "document"}),
    typing=typing,
    typing_lasts_s=TYPING_S,
    read_receipt=read_receipt,
    probe=probe,
    read_probe=read_probe,
)
