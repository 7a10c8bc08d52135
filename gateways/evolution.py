"""Evolution API: every v2, v1, forks with the same envelope, and Evolution Go after conversion to v2's form.

Deliveries have no signature over the body. They carry a static token, or a short-lived JWT signed with the `jwt_key`.
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
from gateways.base import BadRequest, Gateway, Request
from gateways.credentials import STATIC_TOKEN, bearer_of, header_scheme, token_matches
from gateways.evolution_go import to_baileys_message
from gateways.fields import first_text, object_of, objects_of, read_object, text_of, time_of
from gateways.jid import Chat, bare_jid, chat_of, person_of
from gateways.whatsapp_content import edited_text, quoted_id, read_content, unwrap

NAME = "evolution"

EXPIRY_LEEWAY_S = 1800
"""Seconds. Evolution signs a JWT once per event and retries the event for up to 25 minutes, so it may have expired."""

STATES = frozenset({"composing", "recording", "paused", "available", "unavailable"})
REVOKED = ("REVOKE", "0")
EDITED = ("MESSAGE_EDIT", "14")
TRUE = (True, "true")

PEER_JID_FIELDS = ("remoteJidAlt", "senderPn")
"""The fields of a key that may hold another jid of the peer, in our own messages too."""

OTHER_JID_FIELDS = (*PEER_JID_FIELDS, "senderLid")


def is_open(settings: Settings) -> bool:
    """Return True if a static token or a jwt_key is configured."""
    return settings.evolution_token is not None or settings.evolution_jwt_key is not None


def verify(request: Request, settings: Settings, *, clock: Callable[[], float] = time.time) -> bool:
    """Return True if the request carries the static token or a valid JWT. `clock` returns seconds since 1970."""
    if token_matches(request, settings.evolution_token, "apikey"):
        return True
    return _is_valid_jwt(bearer_of(request), settings.evolution_jwt_key, clock())


def _is_valid_jwt(token: str, key: SecretStr | None, now_s: float) -> bool:
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
    """Return the events of one body. Other events of Evolution give none. Raises BadRequest."""
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
    """Return the name as READERS has it: `MESSAGES_UPSERT` and `messages-upsert` are `messages.upsert`."""
    return written.lower().replace("_", ".").replace("-", ".")


def _read_upsert(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    content, key = unwrap(object_of(data.get("message"))), object_of(data.get("key"))
    chat = _chat(key, channel, own_jid)
    if chat is None:
        return []
    if protocol := object_of(content.get("protocolMessage")):
        return _edit_or_revoke(protocol, chat, time_of(data.get("messageTimestamp"), 1000))
    message = _message(data, key, content, chat)
    return [message] if message else []


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


def _read_sent(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    events = _read_upsert(data, channel, own_jid)
    for event in events:
        if isinstance(event, Message):
            event.from_me = True
            event.extra["via_api"] = True
    return events


def _read_edited(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    # Evolution sends `messages.edited` for every protocol message, and `data` is then that protocol message
    chat = _chat(object_of(data.get("key")), channel, own_jid)
    return _edit_or_revoke(data, chat, None) if chat else []


def _edit_or_revoke(protocol: dict[str, Any], chat: Chat, sent_ms: int | None) -> list[Event]:
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


def _read_deleted(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    key = object_of(data.get("key")) or data
    chat, target_id = _chat(key, channel, own_jid), text_of(key.get("id"))
    return [Revoke(chat.conversation, target_id)] if chat and target_id else []


def _read_presence(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    events: list[Event] = []
    for jid, presence in object_of(data.get("presences")).items():
        state = text_of(object_of(presence).get("lastKnownPresence"))
        chat = _chat({"remoteJid": data.get("id"), "remoteJidAlt": jid}, channel, own_jid)
        if chat and state in STATES:
            events.append(Presence(chat.conversation, state, person_of([jid]).peer if chat.is_group else None))
    return events


def _read_go_message(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    return _read_upsert(to_baileys_message(data), channel, own_jid)


READERS: dict[str, Callable[[dict[str, Any], str, Any], list[Event]]] = {
    "messages.upsert": _read_upsert,
    "send.message": _read_sent,
    "messages.edited": _read_edited,
    "messages.delete": _read_deleted,
    "presence.update": _read_presence,
    "message": _read_go_message,
}


def _chat(key: dict[str, Any], channel: str, own_jid: Any) -> Chat | None:
    from_me = key.get("fromMe") in TRUE
    others = () if key.keys().isdisjoint(OTHER_JID_FIELDS) else _other_jids(key, own_jid, from_me)
    return chat_of((NAME, channel), key.get("remoteJid"), others, is_group=False, from_me=from_me)


def _other_jids(key: dict[str, Any], own_jid: Any, from_me: bool) -> list[str]:
    """Return the other jids of the peer. In our own messages the sender is us, so our own jids are left out."""
    names, own = PEER_JID_FIELDS if from_me else OTHER_JID_FIELDS, bare_jid(own_jid)
    known = [bare_jid(key[name]) for name in names if name in key]
    return [jid for jid in known if jid and "@" in jid and jid != own]


def _author(key: dict[str, Any]) -> str | None:
    return person_of([key.get("participant"), key.get("participantAlt"), key.get("participantPn")]).peer


GATEWAY = Gateway(
    NAME,
    is_open,
    verify,
    parse,
    verify_head=verify,
    security_schemes=STATIC_TOKEN | {"evolutionKey": header_scheme("apikey", "EVOLUTION_TOKEN")},
    auth_hint="with the header `Authorization: Bearer <EVOLUTION_TOKEN>`",
)
