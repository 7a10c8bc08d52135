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

from buffer.models import Edit, Event, Ignored, Message, Presence, Revoke
from buffer.presence import KIND_OF_STATE
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request
from gateways.content import Content, unknown_content
from gateways.credentials import STATIC_TOKEN, bearer_of, header_scheme, token_matches
from gateways.delivery import numbered, report
from gateways.evolution_go import to_baileys_message, to_baileys_presence
from gateways.evolution_send import SENDER
from gateways.fields import first_object, first_text, object_of, objects_of, read_object, text_of, time_of
from gateways.ignored import ignored, misfit
from gateways.jid import Chat, bare_jid, chat_of, no_chat, person_of
from gateways.whatsapp_content import (
    VIEW_ONCE,
    edited_text,
    protocol_change,
    read_content,
    unwrap,
    view_once_id,
    with_transcript,
)
from gateways.whatsapp_context import Sides, contexts_in, in_context, read_contexts

NAME = "evolution"

EXPIRY_LEEWAY_S = 1800
"""Seconds. Evolution signs a JWT once per event and retries the event for up to 25 minutes, so it may have expired."""

STATUSES = ("ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED")
"""The status of our own message, in the order of its numbers."""

REVOKE_STUBS = ("REVOKE", "1")
"""The stub that stands for a revoked message, by name and number."""

CIPHER_STUBS = ("CIPHERTEXT", "2")
"""The stub that stands for a message that is not decrypted yet."""

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
    """Return the events of one body, or why it gives none. Raises BadRequest."""
    body = read_object(request.body)
    written = body.get("event")
    if not isinstance(written, str) or not written:
        return [misfit(None, body)]
    name = written if written in READERS else _event_name(written)
    reader = READERS.get(name)
    if reader is None:
        return [ignored("call" if name == "call" else "unknown_event")]
    channel = first_text(body, "instance", "instanceName", "instanceId")
    channel = channel or first_text(object_of(body.get("instance")), "instanceName", "name")
    if channel is None:
        raise BadRequest("`instance` is missing: it must be the name of the Evolution instance, a string")
    data, own_jid = body.get("data"), body.get("sender")
    if isinstance(data, dict) and "messages" not in data:
        return reader(data, channel, own_jid)
    events = [event for record in _records(body) for event in reader(record, channel, own_jid)]
    return events or [misfit(name, body)]


def _event_name(written: str) -> str:
    """Return the name as READERS has it: `MESSAGES_UPSERT` and `messages-upsert` are `messages.upsert`."""
    return written.lower().replace("_", ".").replace("-", ".")


def _records(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the records of a body whose `data` is not one object: a list, `{"messages": […]}`, or flat."""
    data = body.get("data")
    if isinstance(data, dict):
        return objects_of(data.get("messages")) or [data]
    if data is None and isinstance(body.get("key"), dict):
        return [body]
    return objects_of(data)


def _read_upsert(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    written = data.get("message")
    content = unwrap(written) if isinstance(written, dict) else _loose_message(written)
    key = object_of(data.get("key"))
    chat = _chat(key, channel, own_jid)
    if chat is None:
        return [no_chat(key.get("remoteJid"), "messages.upsert", data, key)]
    if not content and text_of(data.get("messageStubType")) in REVOKE_STUBS and (revoked_id := text_of(key.get("id"))):
        return [Revoke(chat.conversation, revoked_id)]
    if protocol := object_of(content.get("protocolMessage")):
        return [_edit_or_revoke(protocol, chat, time_of(data.get("messageTimestamp")))]
    return [_message(data, key, content, chat, own_jid)]


def _loose_message(written: Any) -> dict[str, Any]:
    """Return the message in a list, and a text in the place of a message."""
    return {"conversation": written} if isinstance(written, str) else unwrap(first_object(written))


def _message(
    data: dict[str, Any], key: dict[str, Any], message: dict[str, Any], chat: Chat, own_jid: Any
) -> Message | Ignored:
    message_id = text_of(key.get("id"))
    content = read_content(message, message_id)
    if isinstance(content, Ignored) and content.reason == "empty":
        content = _stub(data, key)
    if contexts := contexts_in(data, message, *message.values()):
        content = in_context(content, read_contexts(contexts, _sides(key, chat, own_jid)))
    if isinstance(content, Ignored):
        return content
    if content.media is not None:
        _add_file(content, data)
    if chat.is_group and (author := _author(key)):
        content.extra["participant"] = author
    return Message(
        chat.conversation,
        message_id,
        time_of(data.get("messageTimestamp")),
        content.kind,
        content.text,
        content.media,
        text_of(data.get("pushName")),
        chat.from_me,
        chat.is_group,
        chat.alias,
        view_once_id(message_id) if content.extra.get("raw_type") == VIEW_ONCE else None,
        extra=content.extra,
    )


def _stub(data: dict[str, Any], key: dict[str, Any]) -> Content | Ignored:
    """Read a record without content: the linked device cannot read a message that can be viewed once."""
    if any(holder.get("isViewOnce") in TRUE for holder in (key, data)):
        return unknown_content(VIEW_ONCE)
    stub = text_of(data.get("messageStubType"))
    return ignored("waiting" if stub in CIPHER_STUBS else "notification" if stub else "empty")


def _sides(key: dict[str, Any], chat: Chat, own_jid: Any) -> Sides:
    person = [key.get(name) for name in ("remoteJid", *OTHER_JID_FIELDS, "participant", "participantAlt")]
    return Sides(person, [own_jid], not chat.is_group)


def _add_file(content: Content, data: dict[str, Any]) -> None:
    """Add the file and the transcript that some versions put beside the message."""
    media = content.media or {}
    if (base64 := text_of(data.get("base64"))) and "base64" not in media:
        media["base64"] = base64
    if media.get("url") is None:
        media["url"] = text_of(data.get("mediaUrl"))
    if "transcript" not in content.extra:
        with_transcript(content, data)


def _read_sent(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    events = _read_upsert(data, channel, own_jid)
    for event in events:
        if isinstance(event, Message):
            event.from_me = True
            event.extra["via_api"] = True
    return events


def _read_edited(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    # Evolution sends `messages.edited` for every protocol message, and `data` is then that protocol message
    protocol = object_of(object_of(data.get("message")).get("protocolMessage")) or data
    key = object_of(protocol.get("key"))
    chat = _chat(key, channel, own_jid)
    return [_edit_or_revoke(protocol, chat, None) if chat else no_chat(key.get("remoteJid"), "messages.edited", data)]


def _edit_or_revoke(protocol: dict[str, Any], chat: Chat, sent_ms: int | None) -> Event:
    change = protocol_change(protocol)
    if change is None or change.target_id is None:
        return ignored("protocol")
    if not change.is_edit:
        return Revoke(chat.conversation, change.target_id)
    if change.text is None:
        return ignored("edit_without_text")
    return Edit(chat.conversation, change.target_id, change.text, change.edited_ms or sent_ms, chat.from_me)


def _read_update(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    """Read a change of a message. An edit has the new content, a revoke the number of its stub; most are receipts.

    The status DELETED gives nothing, because some versions send it for an edit.
    """
    update = object_of(data.get("update")) or data
    key = object_of(data.get("key")) or {**data, "id": data.get("keyId")}
    edited = object_of(update.get("message")).get("editedMessage")
    is_revoke = text_of(update.get("messageStubType")) in REVOKE_STUBS
    if not edited and not is_revoke:
        return [_status(update, key, channel)]
    chat, target_id = _chat(key, channel, own_jid), text_of(key.get("id"))
    if chat is None or target_id is None:
        return [no_chat(key.get("remoteJid"), "messages.update", data)]
    if is_revoke:
        return [Revoke(chat.conversation, target_id)]
    text = edited_text(edited)
    sent_ms = time_of(update.get("messageTimestamp"))
    return [Edit(chat.conversation, target_id, text, sent_ms, chat.from_me) if text else ignored("edit_without_text")]


def _status(update: dict[str, Any], key: dict[str, Any], channel: str) -> Event:
    """Read a receipt. Those of the person's messages give nothing."""
    if key.get("fromMe") not in TRUE:
        return ignored("unknown_event")
    return report(NAME, channel, text_of(key.get("id")), numbered(update.get("status"), STATUSES, 0))


def _read_deleted(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    return [
        _deleted(key, channel, own_jid) for key in objects_of(data.get("keys")) or [object_of(data.get("key")) or data]
    ]


def _deleted(key: dict[str, Any], channel: str, own_jid: Any) -> Event:
    chat, target_id = _chat(key, channel, own_jid), first_text(key, "id", "keyId")
    if chat and target_id:
        return Revoke(chat.conversation, target_id)
    return misfit("messages.delete", key) if chat else no_chat(key.get("remoteJid"), "messages.delete", key)


def _read_presence(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    events: list[Event] = []
    for jid, presence in object_of(data.get("presences")).items():
        state = text_of(object_of(presence).get("lastKnownPresence"))
        chat = _chat({"remoteJid": data.get("id"), "remoteJidAlt": jid}, channel, own_jid)
        if chat and state and state in KIND_OF_STATE:
            events.append(Presence(chat.conversation, state, person_of([jid]).peer if chat.is_group else None))
    return events or [ignored("presence")]


def _read_go_presence(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    return _read_presence(to_baileys_presence(data), channel, own_jid)


def _read_go_message(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    return _read_upsert(to_baileys_message(data), channel, own_jid)


def _read_go_sent(data: dict[str, Any], channel: str, own_jid: Any) -> list[Event]:
    return _read_sent(to_baileys_message(data), channel, own_jid)


READERS: dict[str, Callable[[dict[str, Any], str, Any], list[Event]]] = {
    "messages.upsert": _read_upsert,
    "send.message": _read_sent,
    "messages.edited": _read_edited,
    "messages.update": _read_update,
    "messages.delete": _read_deleted,
    "presence.update": _read_presence,
    "message": _read_go_message,
    "sendmessage": _read_go_sent,
    "undecryptablemessage": _read_go_message,
    "chatpresence": _read_go_presence,
    "presence": _read_go_presence,
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
    sender=SENDER,
)
