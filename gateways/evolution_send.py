"""Evolution API v2 sends: Baileys or its Cloud-API channel. A target with the account GO is an Evolution Go.

Evolution wraps the whole send, so a 400 says nothing by its number: the words decide.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from buffer.models import Conversation
from gateways import evolution_go_send as go
from gateways.fields import object_of, objects_of, text_of
from gateways.meta_errors import result_of_error
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
    last_text,
    object_in,
    post_json,
    probe_failed,
    quoted_id,
    unknown_error,
    whatsapp_id,
    whatsapp_jid,
    without_id,
)

GO = "go"
"""The account of a target that is an Evolution Go (EVOLUTION_FLAVOR)."""

TYPING_MS = 8000
"""Milliseconds. Evolution shows the indicator for so long, sends `paused` itself, and answers after that."""

RECONNECT_S = 5.0
"""Seconds. Baileys reconnects by itself."""

STRIKES = 3
"""Sends in a row that find the connection closed, after which the instance is disconnected."""

ADVICE = {
    401: ": the key is wrong (EVOLUTION_API_KEY, or `send_key` of the route)",
    403: ": the key is missing or wrong (EVOLUTION_API_KEY, or `send_key` of the route)",
    404: ": check the address (EVOLUTION_URL, or `send_url` of the route) and that the instance exists there",
}
CLOSED = partial(Later, after_s=RECONNECT_S, whole_channel=True, strikes=STRIKES)

RULES = (
    Rule((400, 500), r"connection closed", CLOSED, "the instance has no connection to WhatsApp"),
    Rule(
        (400,),
        r"requires property|is not of a type",
        Misconfigured,
        "Evolution does not know the request: is it version 2?",
    ),
    Rule((404,), r"group not found", Refused, "the group does not exist"),
    Rule(
        (500,),
        r"reading '(textMessage|sendMessage|onWhatsApp)'",
        Misconfigured,
        "the instance is not loaded or lost its connection: restart it",
    ),
    Rule((503,), r"license", Misconfigured, "Evolution is not activated: its licence is missing"),
    Rule((400,), r"", InDoubt, "Evolution answered 400, which may come after the message left"),
)


def request(target: Target, reply_to: ReplyTo, part: Part, part_id: PartId) -> SendRequest:
    """Return the request for one part."""
    if target.account == GO:
        return go.request(target, reply_to, part, part_id)
    number = reply_to.conversation.peer
    if part.kind == "text":
        return _post(target, reply_to, "message/sendText", _text_fields(number, reply_to, part, part_id))
    if part.kind == "audio":
        return _post(target, reply_to, "message/sendWhatsAppAudio", {"number": number, "audio": part.url or ""})
    fields = {"number": number, "mediatype": part.kind, "media": part.url or ""}
    beside = {"caption": part.text, "fileName": part.filename}
    return _post(target, reply_to, "message/sendMedia", fields | {name: text for name, text in beside.items() if text})


def _text_fields(number: str, reply_to: ReplyTo, part: Part, part_id: PartId) -> dict[str, Any]:
    fields = {"number": number, "text": part.text or "", "linkPreview": True, "messageId": whatsapp_id(part_id)}
    quoted = quoted_id(reply_to, part_id)
    return fields | {"quoted": {"key": {"id": quoted}}} if quoted else fields


def _post(target: Target, reply_to: ReplyTo, path: str, fields: dict[str, Any]) -> SendRequest:
    url = address(target.url, *path.split("/"), reply_to.conversation.channel)
    return post_json(url, {"apikey": target.secret}, fields)


def read(response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what a response of Evolution v2 or Evolution Go means."""
    body = object_in(response)
    if is_success(response):
        return _taken(body, response, reply_to)
    if response.status == 400 and any(item.get("exists") is False for item in _messages(body)):
        return Refused(_not_on_whatsapp(reply_to))
    rules = RULES if "response" in body else go.RULES + RULES
    return (
        by_rules(rules, response, reply_to)
        or by_status(response, reply_to, ADVICE)
        or unknown_error(response, reply_to)
    )


def _taken(body: dict[str, Any], response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Read a 2xx. The Cloud-API channel returns an error of Meta as a success."""
    if message_id := text_of(object_of(body.get("key")).get("id")) or go.message_id_in(body):
        return Sent(message_id)
    for error in (object_of(body.get("error")), body):
        if "code" in error:
            return result_of_error(error, response, reply_to)
    return without_id(response, reply_to)


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    return objects_of(object_of(body.get("response")).get("message"))


def _not_on_whatsapp(reply_to: ReplyTo) -> str:
    if reply_to.conversation.peer.endswith("@lid"):
        return "Evolution does not find this person on WhatsApp: before 2.4 it cannot send to an address with @lid"
    return "the number is not on WhatsApp"


def typing(target: Target, reply_to: ReplyTo) -> SendRequest:
    """Return the request that shows `composing`."""
    if target.account == GO:
        return go.typing(target, reply_to)
    fields = {"number": reply_to.conversation.peer, "presence": "composing", "delay": TYPING_MS}
    return _post(target, reply_to, "chat/sendPresence", fields)


def read_receipt(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that marks the last message as read. None if it has no id."""
    message_id = last_text(reply_to, "message_id")
    if message_id is None:
        return None
    if target.account == GO:
        return go.read_receipt(target, reply_to, message_id)
    key = {"remoteJid": whatsapp_jid(reply_to.conversation.peer), "fromMe": False, "id": message_id}
    return _post(target, reply_to, "chat/markMessageAsRead", {"readMessages": [key]})


def probe(target: Target, conversation: Conversation) -> SendRequest:
    """Return the request for the state of the instance."""
    if target.account == GO:
        return go.probe(target)
    url = address(target.url, "instance", "connectionState", conversation.channel)
    return get(url, {"apikey": target.secret})


def read_probe(response: SendResponse) -> str | None:
    """Return None if the instance is connected, else what is wrong."""
    body = object_in(response)
    if not is_success(response):
        return probe_failed(response, ADVICE)
    if "instance" not in body:
        return go.read_probe(body)
    state = text_of(object_of(body["instance"]).get("state"))
    if state is None:
        return "the instance has no connection: restart it in Evolution"
    return None if state == "open" else f"the instance is not connected to WhatsApp (its state is {state[:20]!r})"


SENDER = Sender(
    request,
    read,
    WHATSAPP_TEXT_MAX,
    WHATSAPP_CHANNEL_RATE,
    WHATSAPP_PERSON_RATE,
    own_id=whatsapp_id,
    media_kinds=frozenset({"image", "audio", "video", "document"}),
    typing=typing,
    typing_lasts_s=TYPING_MS / 1000,
    read_receipt=read_receipt,
    probe=probe,
    read_probe=read_probe,
)
