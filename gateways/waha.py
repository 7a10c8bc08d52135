"""WAHA: signed events. `payload` has the same fields for every engine, and the engine's own data in `_data`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from buffer.models import Edit, Event, Message, Presence, Revoke
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request
from gateways.content import Content
from gateways.credentials import carries, header_scheme, signature_matches
from gateways.fields import first_text, object_of, objects_of, read_object, text_of, time_of
from gateways.jid import Chat, chat_of, person_of
from gateways.waha_content import read_payload, read_reaction

NAME = "waha"
ALGORITHM = "sha512"
STATES = {
    "typing": "composing",
    "recording": "recording",
    "paused": "paused",
    "online": "available",
    "offline": "unavailable",
}


def is_open(settings: Settings) -> bool:
    """Return True if the key of the signatures is configured."""
    return settings.waha_hmac_key is not None


def verify(request: Request, settings: Settings) -> bool:
    """Return True if the raw body is signed with the key."""
    if request.headers.get("x-webhook-hmac-algorithm", ALGORITHM).lower() != ALGORITHM:
        return False
    given = request.headers.get("x-webhook-hmac", "").lower()
    return signature_matches(given, settings.waha_hmac_key, ALGORITHM, request.body)


def parse(request: Request) -> list[Event]:
    """Return the events of one body. Other events of WAHA give none. Raises BadRequest."""
    body = read_object(request.body)
    reader = READERS.get(text_of(body.get("event")) or "")
    if reader is None:
        return []
    session = text_of(body.get("session"))
    if session is None:
        raise BadRequest("`session` is missing: it must be the name of the WAHA session, a string")
    return list(reader(object_of(body.get("payload")), session))


def _read_message(payload: dict[str, Any], session: str) -> Iterator[Event]:
    yield from _message(payload, session, read_payload(payload))


def _read_reaction(payload: dict[str, Any], session: str) -> Iterator[Event]:
    yield from _message(payload, session, read_reaction(payload))


def _message(payload: dict[str, Any], session: str, content: Content | None) -> Iterator[Message]:
    chat = _chat(payload, session)
    if chat is None or content is None:
        return
    yield Message(
        conversation=chat.conversation,
        message_id=text_of(payload.get("id")),
        timestamp_ms=time_of(payload.get("timestamp"), 1000),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=_sender_name(payload),
        from_me=chat.from_me,
        is_group=chat.is_group,
        conversation_alias=chat.alias,
        dedupe_id=_raw_id(payload.get("id")),
        extra=content.extra_with(
            quoted_id=text_of(object_of(payload.get("replyTo")).get("id")),
            participant=_author(payload) if chat.is_group else None,
            via_api=chat.from_me and payload.get("source") == "api",
        ),
    )


def _read_edit(payload: dict[str, Any], session: str) -> Iterator[Event]:
    chat, text = _chat(payload, session), text_of(payload.get("body"))
    target_id = _raw_id(payload.get("editedMessageId"))
    if chat and text and target_id:
        yield Edit(chat.conversation, target_id, text, time_of(payload.get("timestamp"), 1000), chat.from_me)


def _read_revoke(payload: dict[str, Any], session: str) -> Iterator[Event]:
    """Read a revoke. `after` is the notice of it, `before` the revoked message if WAHA still has it."""
    after, before = object_of(payload.get("after")), object_of(payload.get("before"))
    chat = _chat(after, session) or _chat(before, session)
    # old versions have no `revokedMessageId`
    target_id = _raw_id(payload.get("revokedMessageId") or before.get("id") or after.get("id"))
    if chat and target_id:
        yield Revoke(chat.conversation, target_id)


def _read_presence(payload: dict[str, Any], session: str) -> Iterator[Event]:
    for presence in objects_of(payload.get("presences")):
        jid = presence.get("participant")
        chat = chat_of((NAME, session), payload.get("id"), [jid], is_group=False, from_me=False)
        state = STATES.get(text_of(presence.get("lastKnownPresence")) or "")
        if chat and state:
            yield Presence(chat.conversation, state, person_of([jid]).peer if chat.is_group else None)


READERS: dict[str, Callable[[dict[str, Any], str], Iterator[Event]]] = {
    "message": _read_message,
    "message.any": _read_message,
    "message.reaction": _read_reaction,
    "message.edited": _read_edit,
    "message.revoked": _read_revoke,
    "presence.update": _read_presence,
}


def _chat(payload: dict[str, Any], session: str) -> Chat | None:
    from_me = payload.get("fromMe") is True
    address = _recipient(payload) if from_me else payload.get("from")
    others = _other_jids(payload, from_me)
    return chat_of((NAME, session), address, others, is_group=False, from_me=from_me)


def _recipient(payload: dict[str, Any]) -> str | None:
    """Return the chat of our own message. `from` is us in some engines only, so the chat in the id comes first."""
    parts = (text_of(payload.get("id")) or "").split("_")
    embedded = parts[1] if len(parts) > 2 and "@" in parts[1] else None
    return embedded or first_text(payload, "to", "from")


def _raw_id(message_id: Any) -> str | None:
    """Return the raw id in `false_<chat>_<id>[_<participant>]`, and an id without a chat unchanged."""
    written = text_of(message_id)
    parts = (written or "").split("_")
    return (parts[2] if len(parts) > 2 else written) or None


def _other_jids(payload: dict[str, Any], from_me: bool) -> list[Any]:
    """Return the other jids of the person, from the data of the engines NOWEB (`key`) and GOWS (`Info`)."""
    data = object_of(payload.get("_data"))
    key, info = object_of(data.get("key")), object_of(data.get("Info"))
    if from_me:
        return [key.get("remoteJidAlt"), info.get("RecipientAlt")]
    return [key.get("remoteJidAlt"), key.get("senderPn"), info.get("SenderAlt")]


def _author(payload: dict[str, Any]) -> str | None:
    data = object_of(payload.get("_data"))
    key, info = object_of(data.get("key")), object_of(data.get("Info"))
    others = [key.get("participantAlt"), key.get("participantPn"), info.get("SenderAlt")]
    return person_of([payload.get("participant"), payload.get("author"), *others]).peer


def _sender_name(payload: dict[str, Any]) -> str | None:
    data = object_of(payload.get("_data"))
    return first_text(object_of(data.get("Info")), "PushName") or first_text(data, "pushName", "notifyName")


GATEWAY = Gateway(
    NAME,
    is_open,
    verify,
    parse,
    verify_head=carries("x-webhook-hmac"),
    security_schemes={
        "wahaSignature": header_scheme(
            "X-Webhook-Hmac", "The HMAC-SHA512 of the raw body with WAHA_HMAC_KEY, in hexadecimal"
        )
    },
    auth_hint="with <WAHA_HMAC_KEY> as the webhook's `hmac.key`",
)
