"""WAHA: signed events. `payload` has the same fields for every engine, and the engine's own data in `_data`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from buffer.models import Edit, Event, Ignored, Message, Presence, Revoke
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request
from gateways.content import Content
from gateways.credentials import carries, header_scheme, signature_matches
from gateways.delivery import numbered, report
from gateways.fields import first_text, object_of, objects_of, read_object, text_of, time_of
from gateways.ignored import ignored, misfit
from gateways.jid import GROUP_HOSTS, Chat, chat_of, no_chat, person_of
from gateways.waha_content import (
    has_context,
    read_change,
    read_context,
    read_event_answer,
    read_payload,
    read_reaction,
    read_vote,
)
from gateways.waha_send import SENDER, whatsapp_id_in
from gateways.whatsapp_content import VIEW_ONCE, ProtocolChange, view_once_id
from gateways.whatsapp_context import Sides, in_context

NAME = "waha"
ALGORITHM = "sha512"
STATES = {
    "typing": "composing",
    "recording": "recording",
    "paused": "paused",
    "online": "available",
    "offline": "unavailable",
}
"""WAHA's names of the states, with those of WhatsApp."""

ACKS = ("ERROR", "PENDING", "SERVER", "DEVICE", "READ", "PLAYED")
"""What became of our own message, in the order of its numbers from -1."""

NO_TEXT = ignored("edit_without_text")


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
    """Return the events of one body, or why it gives none. Raises BadRequest."""
    body = read_object(request.body)
    name = text_of(body.get("event")) or ""
    reader = READERS.get(name)
    if reader is None:
        return [ignored(UNREAD.get(name, "unknown_event")) if name else misfit(None, body)]
    session = text_of(body.get("session"))
    if session is None:
        raise BadRequest("`session` is missing: it must be the name of the WAHA session, a string")
    payload, own = body.get("payload"), body.get("me")
    if isinstance(payload, dict):
        return list(reader(payload, session, own)) or [ignored("empty")]
    events = [event for each in objects_of(payload) for event in reader(each, session, own)]
    return events or [misfit(name, body)]


def _read_message(payload: dict[str, Any], session: str, own: Any) -> Iterator[Event]:
    change = read_change(payload)
    yield _changed(payload, change, session) if change else _message(payload, session, own, read_payload(payload))


def _changed(payload: dict[str, Any], change: ProtocolChange, session: str) -> Event:
    """Return the edit or revoke of another message that an engine passes on as a message of its own."""
    chat = _chat(payload, session)
    if chat is None or change.target_id is None:
        return no_chat(payload.get("from"), "message", payload) if chat is None else ignored("protocol")
    if not change.is_edit:
        return Revoke(chat.conversation, change.target_id)
    text, sent_ms = change.text or text_of(payload.get("body")), time_of(payload.get("timestamp"))
    return Edit(chat.conversation, change.target_id, text, sent_ms, chat.from_me) if text else NO_TEXT


def _read_reaction(payload: dict[str, Any], session: str, own: Any) -> Iterator[Event]:
    yield _message(payload, session, own, read_reaction(payload))


def _read_vote(payload: dict[str, Any], session: str, own: Any) -> Iterator[Event]:
    """Read a vote. Its own id, time and author are in `vote`, and the poll is the message that it answers."""
    vote, poll = object_of(payload.get("vote")), object_of(payload.get("poll"))
    yield _message(payload | vote | {"replyTo": {"id": poll.get("id")}}, session, own, read_vote(vote))


def _read_event_answer(payload: dict[str, Any], session: str, own: Any) -> Iterator[Event]:
    """Read the answer to an invitation, which is the message that it answers."""
    invitation = object_of(payload.get("eventCreationKey"))
    yield _message(payload | {"replyTo": {"id": invitation.get("id")}}, session, own, read_event_answer(payload))


def _message(payload: dict[str, Any], session: str, own: Any, content: Content | Ignored) -> Message | Ignored:
    chat = _chat(payload, session)
    if chat is None:
        return no_chat(payload.get("from"), "message", payload)
    if has_context(payload):
        content = in_context(content, read_context(payload, _sides(payload, chat, own)))
    if isinstance(content, Ignored):
        return content
    written_id = payload.get("id")
    raw_id = whatsapp_id_in(text_of(written_id)) if chat.from_me else _raw_id(written_id)
    return Message(
        conversation=chat.conversation,
        message_id=text_of(written_id),
        timestamp_ms=time_of(payload.get("timestamp")),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=_sender_name(payload),
        from_me=chat.from_me,
        is_group=chat.is_group,
        conversation_alias=chat.alias,
        dedupe_id=view_once_id(raw_id) if content.extra.get("raw_type") == VIEW_ONCE else raw_id,
        extra=content.extra_with(
            participant=_author(payload) if chat.is_group else None,
            via_api=chat.from_me and payload.get("source") == "api",
        ),
    )


def _sides(payload: dict[str, Any], chat: Chat, own: Any) -> Sides:
    person = _recipient(payload) if chat.from_me else payload.get("from")
    others = _other_jids(payload, chat.from_me)
    return Sides([person, *others], [object_of(own).get("id")], not chat.is_group)


def _read_edit(payload: dict[str, Any], session: str, own: Any) -> Iterator[Event]:
    target_id, told = _raw_id(payload.get("editedMessageId")), read_change(payload)
    text = text_of(payload.get("body")) or (told.text if told else None)
    yield _changed(payload, ProtocolChange(True, target_id or (told.target_id if told else None), text, None), session)


def _read_revoke(payload: dict[str, Any], session: str, own: Any) -> Iterator[Event]:
    """Read a revoke. `after` is the notice of it, `before` the revoked message if WAHA still has it."""
    after, before = object_of(payload.get("after")), object_of(payload.get("before"))
    chat = _chat(after, session) or _chat(before, session) or _chat(payload, session)
    # old versions have no `revokedMessageId`
    target_id = _raw_id(payload.get("revokedMessageId") or before.get("id") or after.get("id"))
    if chat is None:
        yield no_chat(after.get("from") or before.get("from"), "message", payload)
    else:
        yield Revoke(chat.conversation, target_id) if target_id else misfit("message", payload)


def _read_ack(payload: dict[str, Any], session: str, own: Any) -> Iterator[Event]:
    """Read what became of a message. Acks of the person's own messages give nothing."""
    status = numbered(payload.get("ack"), ACKS, -1)
    if status == payload.get("ack"):
        status = payload.get("ackName")
    from_me = payload.get("fromMe") is True
    message_id = whatsapp_id_in(text_of(payload.get("id"))) if from_me else None
    yield report(NAME, session, message_id, status)


def _read_presence(payload: dict[str, Any], session: str, own: Any) -> Iterator[Event]:
    for presence in objects_of(payload.get("presences")):
        jid = presence.get("participant")
        chat = chat_of((NAME, session), payload.get("id"), [jid], is_group=False, from_me=False)
        state = STATES.get(text_of(presence.get("lastKnownPresence")) or "")
        if chat and state:
            yield Presence(chat.conversation, state, person_of([jid]).peer if chat.is_group else None)
        else:
            yield ignored("presence")


UNREAD = {
    "call.received": "call",
    "call.accepted": "call",
    "call.rejected": "call",
    "poll.vote.failed": "encrypted",
    "event.response.failed": "encrypted",
}
"""Events that carry no messages, where a better reason than the common one is known."""

READERS: dict[str, Callable[[dict[str, Any], str, Any], Iterator[Event]]] = {
    "message": _read_message,
    "message.any": _read_message,
    "message.ack": _read_ack,
    "message.ack.group": _read_ack,
    "message.reaction": _read_reaction,
    "message.edited": _read_edit,
    "message.revoked": _read_revoke,
    "poll.vote": _read_vote,
    "event.response": _read_event_answer,
    "presence.update": _read_presence,
}


def _chat(payload: dict[str, Any], session: str) -> Chat | None:
    from_me = payload.get("fromMe") is True
    address = _recipient(payload) if from_me else _sender(payload)
    others = _other_jids(payload, from_me)
    return chat_of((NAME, session), address, others, is_group=False, from_me=from_me)


def _sender(payload: dict[str, Any]) -> Any:
    """Return the chat of a message to us. Reactions and votes in a group come from their author, to the group."""
    recipient = payload.get("to")
    return recipient if isinstance(recipient, str) and recipient.endswith(GROUP_HOSTS) else payload.get("from")


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
    written = payload.get("participant") or payload.get("author") or payload.get("from")
    return person_of([written, *others]).peer


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
    sender=SENDER,
)
