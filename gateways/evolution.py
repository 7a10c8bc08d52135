"""Evolution API: all of v2, v1 and forks that keep its envelope, and Evolution Go by translation.

Deliveries carry no signature over the body: a static token, or a short-lived token signed with the `jwt_key`.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from typing import Any

import orjson
from pydantic import SecretStr

from buffer.models import Edit, Event, Message, Presence, Revoke
from config.settings import Settings
from gateways.base import (
    BadRequest,
    Gateway,
    Request,
    bearer_of,
    object_of,
    objects_of,
    read_object,
    text_of,
    time_of,
    token_matches,
)
from gateways.evolution_go import to_baileys_message
from gateways.jid import Chat, bare, chat_of, person
from gateways.whatsapp_content import edited_text, first_text, quoted_id, read_content, unwrap

NAME = "evolution"
EXPIRY_LEEWAY_S = 1800
STATES = frozenset({"composing", "recording", "paused", "available", "unavailable"})
REVOKED = ("REVOKE", "0")
EDITED = ("MESSAGE_EDIT", "14")
TRUE = (True, "true")
THEIR_NAMES = ("remoteJidAlt", "senderPn")
OTHER_NAMES = (*THEIR_NAMES, "senderLid")


def is_open(settings: Settings) -> bool:
    """Whether a static token or a jwt_key is configured."""
    return settings.evolution_token is not None or settings.evolution_jwt_key is not None


def verify(request: Request, settings: Settings, *, clock: Callable[[], float] = time.time) -> bool:
    """Whether the static token or a token signed with the jwt_key came along; `clock` tells epoch seconds."""
    static = token_matches(request, settings.evolution_token, "apikey")
    return static or _is_signed(bearer_of(request), settings.evolution_jwt_key, clock())


def _is_signed(token: str, key: SecretStr | None, now_s: float) -> bool:
    """Check an HS256 token, with leeway: it is made once per event, so a late retry brings an expired one."""
    if key is None:
        return False
    signed, _, signature = token.rpartition(".")
    digest = hmac.digest(key.get_secret_value().encode(), signed.encode(), "sha256")
    if not hmac.compare_digest(signature.encode(), base64.urlsafe_b64encode(digest).rstrip(b"=")):
        return False
    expiry_s = _claims(signed).get("exp")
    return isinstance(expiry_s, int | float) and now_s <= expiry_s + EXPIRY_LEEWAY_S


def _claims(signed: str) -> dict[str, Any]:
    encoded = signed.partition(".")[2]
    try:
        return object_of(orjson.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))))
    except ValueError:
        return {}


def parse(request: Request) -> list[Event]:
    """The events of one body; nothing for what is of no interest. Raises BadRequest."""
    body = read_object(request.body)
    written = body.get("event")
    reader = READERS.get(written) or READERS.get(_event_name(written)) if isinstance(written, str) else None
    if reader is None:
        return []
    channel = first_text(body, "instance", "instanceName", "instanceId")
    if channel is None:
        raise BadRequest("`instance` is missing: it must be the name of the Evolution instance, a string")
    data, own_jid = body.get("data"), body.get("sender")
    if isinstance(data, dict):
        return reader(data, channel, own_jid)
    return [event for record in objects_of(data) for event in reader(record, channel, own_jid)]


def _event_name(written: str) -> str:
    """The event in its wire form: `MESSAGES_UPSERT` and `messages-upsert` are `messages.upsert`."""
    return written.lower().replace("_", ".").replace("-", ".")


def _upsert(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    message, key = unwrap(object_of(data.get("message"))), object_of(data.get("key"))
    chat = _chat(key, channel, own_jid)
    if chat is None:
        return []
    if protocol := object_of(message.get("protocolMessage")):
        return _change(protocol, chat, time_of(data.get("messageTimestamp"), 1000))
    said = _message(data, key, message, chat)
    return [said] if said else []


def _message(data: dict[str, Any], key: dict[str, Any], message: dict[str, Any], chat: Chat) -> Message | None:
    message_id = text_of(key.get("id"))
    content = read_content(message, message_id)
    if content is None:
        return None
    if quoted := quoted_id(data, message):
        content.extra["quoted_id"] = quoted
    if chat.is_group and (author := _author(key)):
        content.extra["participant"] = author
    return Message(
        chat.conversation,
        message_id,
        time_of(data.get("messageTimestamp"), 1000),
        content.kind,
        content.text,
        content.media,
        text_of(data.get("pushName")),
        chat.from_me,
        chat.is_group,
        chat.alias,
        extra=content.extra,
    )


def _sent(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    events = _upsert(data, channel, own_jid)
    for event in events:
        if isinstance(event, Message):
            event.from_me = True
            event.extra["via_api"] = True
    return events


def _edited(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    # this event fires for every protocol message, which is then the data itself
    chat = _chat(object_of(data.get("key")), channel, own_jid)
    return _change(data, chat, None) if chat else []


def _change(protocol: dict[str, Any], chat: Chat, sent_ms: int | None) -> list[Event]:
    target_id = first_text(object_of(protocol.get("key")), "id", "ID")
    action = text_of(protocol.get("type"))
    if target_id is None:
        return []
    if action in REVOKED:
        return [Revoke(chat.conversation, target_id)]
    if action in EDITED and (text := edited_text(protocol.get("editedMessage"))):
        edited_ms = time_of(protocol.get("timestampMs", protocol.get("timestampMS")), 1)
        return [Edit(chat.conversation, target_id, text, edited_ms or sent_ms, chat.from_me)]
    return []


def _deleted(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    key = object_of(data.get("key")) or data
    chat, target_id = _chat(key, channel, own_jid), text_of(key.get("id"))
    return [Revoke(chat.conversation, target_id)] if chat and target_id else []


def _presence(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    events: list[Event] = []
    for jid, seen in object_of(data.get("presences")).items():
        state = text_of(object_of(seen).get("lastKnownPresence"))
        chat = _chat({"remoteJid": data.get("id"), "remoteJidAlt": jid}, channel, own_jid)
        if chat and state in STATES:
            events.append(Presence(chat.conversation, state, person([jid]).name if chat.is_group else None))
    return events


def _go(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    return _upsert(to_baileys_message(data), channel, own_jid)


READERS: dict[str, Callable[[dict[str, Any], str, Any], list[Event]]] = {
    "messages.upsert": _upsert,
    "send.message": _sent,
    "messages.edited": _edited,
    "messages.delete": _deleted,
    "presence.update": _presence,
    "message": _go,
}


def _chat(key: dict[str, Any], channel: str, own_jid: Any) -> Chat | None:
    from_me = key.get("fromMe") in TRUE
    others = () if key.keys().isdisjoint(OTHER_NAMES) else _others(key, own_jid, from_me)
    return chat_of((NAME, channel), key.get("remoteJid"), others, is_group=False, from_me=from_me)


def _others(key: dict[str, Any], own_jid: Any, from_me: bool) -> list[str]:
    """The other names of the person; in our own messages the sender's names can be ours, not theirs."""
    names, own = THEIR_NAMES if from_me else OTHER_NAMES, bare(own_jid)
    known = [bare(key[name]) for name in names if name in key]
    return [jid for jid in known if jid and "@" in jid and jid != own]


def _author(key: dict[str, Any]) -> str | None:
    return person([key.get("participant"), key.get("participantAlt"), key.get("participantPn")]).name


GATEWAY = Gateway(NAME, is_open, verify, parse)
