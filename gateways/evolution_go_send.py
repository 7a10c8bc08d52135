"""Evolution Go sends. The token names the instance, so the path does not. Each message has an id of ours."""

from __future__ import annotations

from typing import Any

from gateways.fields import object_of, text_of
from gateways.sending import Again, Misconfigured, Part, PartId, Refused, ReplyTo, SendRequest, SendResult, Target
from gateways.sending_http import (
    Rule,
    address,
    get,
    last_text,
    post_json,
    quoted_id,
    whatsapp_id,
    whatsapp_jid,
)


def _as_link(reason: str) -> SendResult:
    return Again(reason, as_link=True)


DISCONNECTED = "the instance has no connection to WhatsApp: connect it in Evolution Go"

RULES = (
    Rule((400,), r"is required", Misconfigured, "Evolution Go misses a field of the request"),
    Rule((500,), r"not registered on whatsapp", Refused, "the number is not on WhatsApp"),
    Rule((500,), r"client disconnected|no active session found|failed to connect client", Misconfigured, DISCONNECTED),
    Rule((500,), r"instance not found", Misconfigured, "the token (EVOLUTION_API_KEY) belongs to no instance"),
    Rule((500,), r"invalid file format", _as_link, "Evolution Go does not send files of this type"),
    Rule((500,), r"could not parse|invalid messagetype", Refused, "Evolution Go does not accept the address"),
)
"""The words that only Evolution Go uses, with 400 and 500 alike."""


def request(target: Target, reply_to: ReplyTo, part: Part, part_id: PartId) -> SendRequest:
    """Return the request for one part. `formatJid` false keeps the address as it came in."""
    number = whatsapp_jid(reply_to.conversation.peer)
    fields: dict[str, Any] = {"number": number, "id": whatsapp_id(part_id), "formatJid": False}
    if part.kind != "text":
        beside = {"caption": part.text, "filename": part.filename}
        fields |= {"url": part.url or "", "type": part.kind}
        return _post(target, "send/media", fields | {name: text for name, text in beside.items() if text})
    fields |= {"text": part.text or ""}
    if quoted := quoted_id(reply_to, part_id):
        author = last_text(reply_to, "participant") or reply_to.conversation.peer
        fields["quoted"] = {"messageId": quoted, "participant": whatsapp_jid(author)}
    return _post(target, "send/text", fields)


def _post(target: Target, path: str, fields: dict[str, Any]) -> SendRequest:
    return post_json(address(target.url, *path.split("/")), {"apikey": target.secret}, fields)


def message_id_in(body: dict[str, Any]) -> str | None:
    """Return the id of the message in a 2xx, or None."""
    return text_of(object_of(object_of(body.get("data")).get("Info")).get("ID"))


def typing(target: Target, reply_to: ReplyTo) -> SendRequest:
    """Return the request that shows `composing`."""
    fields = {"number": whatsapp_jid(reply_to.conversation.peer), "state": "composing", "isAudio": False}
    return _post(target, "message/presence", fields)


def read_receipt(target: Target, reply_to: ReplyTo, message_id: str) -> SendRequest:
    """Return the request that marks a message as read."""
    fields = {"number": whatsapp_jid(reply_to.conversation.peer), "id": [message_id]}
    return _post(target, "message/markread", fields)


def probe(target: Target) -> SendRequest:
    """Return the request for the state of the instance."""
    return get(address(target.url, "instance", "status"), {"apikey": target.secret})


def read_probe(body: dict[str, Any]) -> str | None:
    """Return None if the instance is connected, else what is wrong."""
    states = {name.lower(): value for name, value in object_of(body.get("data")).items()}
    if not states:
        return "the state of the instance cannot be read: is EVOLUTION_URL the address of Evolution?"
    return None if states.get("connected") is True and states.get("loggedin") is not False else DISCONNECTED
