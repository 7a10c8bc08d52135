"""uazapi: the token of the instance stands in the body, in two envelopes; the content is WhatsApp's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buffer.models import Edit, Event, Message, Presence
from config.settings import Settings
from gateways.base import (
    BadRequest,
    Gateway,
    Request,
    object_of,
    read_object,
    secrets_equal,
    text_of,
    time_of,
    token_matches,
)
from gateways.content import Content
from gateways.jid import Chat, chat_of, person
from gateways.uazapi_content import read_message
from gateways.whatsapp_content import first_text

NAME = "uazapi"
STATES = frozenset({"composing", "recording", "paused", "available", "unavailable"})


def is_open(settings: Settings) -> bool:
    """Whether the instance's token is configured."""
    return settings.uazapi_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Whether the token came along, in the body or where static tokens may stand."""
    if token_matches(request, settings.uazapi_token, "token"):
        return True
    try:
        body = read_object(request.body)
    except BadRequest:
        return False
    return secrets_equal(text_of(body.get("token")) or "", settings.uazapi_token)


def parse(request: Request) -> list[Event]:
    """The event of one body; nothing for what is of no interest. Raises BadRequest."""
    body = read_object(request.body)
    reader = READERS.get((first_text(body, "EventType", "event") or "").lower())
    if reader is None:
        return []
    channel = first_text(body, "instanceName", "instance", "owner")
    if channel is None:
        raise BadRequest("`instanceName` is missing: it must be the name of the uazapi instance, a string")
    event = reader(body, channel)
    return [event] if event else []


def _said(body: dict[str, Any], channel: str) -> Event | None:
    said = object_of(body.get("message")) or object_of(body.get("data"))
    chat = _chat(said, object_of(body.get("chat")), channel)
    message_id = _message_id(said)
    content = read_message(said, message_id)
    if chat is None or content is None:
        return None
    if target_id := text_of(said.get("edited")):
        return _edit(said, chat, target_id, content.text)
    return _message(said, chat, message_id, content)


def _message_id(said: dict[str, Any]) -> str | None:
    """The id that WhatsApp gave; `id` is the same after the number of the instance."""
    return text_of(said.get("messageid")) or (text_of(said.get("id")) or "").rpartition(":")[2] or None


def _message(said: dict[str, Any], chat: Chat, message_id: str | None, content: Content) -> Message:
    around = {
        "quoted_id": text_of(said.get("quoted")),
        "participant": _author(said) if chat.is_group else None,
        "via_api": chat.from_me and _is_true(said.get("wasSentByApi")),
    }
    return Message(
        conversation=chat.conversation,
        message_id=message_id,
        timestamp_ms=time_of(said.get("messageTimestamp"), 1),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=text_of(said.get("senderName")),
        from_me=chat.from_me,
        is_group=chat.is_group,
        conversation_alias=chat.alias,
        extra=content.extra | {name: value for name, value in around.items() if value},
    )


def _edit(said: dict[str, Any], chat: Chat, target_id: str, text: str | None) -> Edit | None:
    """An edit is a message with an id of its own, which names the one it changes."""
    sent_ms = time_of(said.get("messageTimestamp"), 1)
    return Edit(chat.conversation, target_id, text, sent_ms, chat.from_me) if text else None


def _presence(body: dict[str, Any], channel: str) -> Presence | None:
    # no capture of this event is public: flat, and as the library beneath it (whatsmeow) tells it
    seen = object_of(body.get("event")) or object_of(body.get("data")) or body
    told = {
        "chatid": first_text(seen, "chatid", "Chat"),
        "isGroup": seen.get("IsGroup", seen.get("isGroup")),
        "fromMe": seen.get("IsFromMe", seen.get("fromMe")),
        "sender_pn": first_text(seen, "sender_pn", "Sender"),
        "sender_lid": first_text(seen, "sender_lid", "SenderAlt"),
    }
    chat = _chat(told, object_of(body.get("chat")), channel)
    state = (first_text(seen, "presence", "State", "state") or "").lower()
    if chat is None or chat.from_me or state not in STATES:
        return None
    records = state == "composing" and seen.get("Media") == "audio"
    return Presence(chat.conversation, "recording" if records else state, _author(told) if chat.is_group else None)


READERS: dict[str, Callable[[dict[str, Any], str], Event | None]] = {
    "messages": _said,
    "message": _said,
    "presence": _presence,
}


def _chat(said: dict[str, Any], kept: dict[str, Any], channel: str) -> Chat | None:
    """The chat of a message; `kept` is what uazapi keeps about it, empty in one of the envelopes."""
    from_me = _is_true(said.get("fromMe"))
    names = [said.get("chatid"), kept.get("wa_chatid"), said.get("chatlid"), kept.get("wa_chatlid")]
    # in our own messages the sender is us
    senders = [] if from_me else [said.get("sender_pn"), said.get("sender"), said.get("sender_lid")]
    known_as = [name for name in (*names, *senders) if _is_address(text_of(name) or "")]
    is_group = _is_true(said.get("isGroup"))
    return chat_of((NAME, channel), next(iter(known_as), None), known_as, is_group=is_group, from_me=from_me)


def _is_address(name: str) -> bool:
    """Whether it is a name on WhatsApp, and not an id of uazapi's own (`r1a2b3c4`)."""
    return "@" in name or name.isdigit()


def _author(said: dict[str, Any]) -> str | None:
    return person([said.get("sender_pn"), said.get("sender"), said.get("sender_lid")]).name


def _is_true(value: Any) -> bool:
    return value in (True, "true", "True")


GATEWAY = Gateway(NAME, is_open, verify, parse)
