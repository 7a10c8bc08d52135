"""uazapi: two envelopes with the instance's token in the body. The content is partly WhatsApp's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buffer.models import Edit, Event, Message, Presence
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request
from gateways.content import Content
from gateways.credentials import STATIC_TOKEN, header_scheme, secrets_equal, token_matches
from gateways.fields import first_text, object_of, read_object, text_of, time_of
from gateways.jid import Chat, chat_of, person_of
from gateways.uazapi_content import read_message

NAME = "uazapi"
STATES = frozenset({"composing", "recording", "paused", "available", "unavailable"})


def is_open(settings: Settings) -> bool:
    """Return True if the token of the instance is configured."""
    return settings.uazapi_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Return True if the request carries the token, in the body or as other static tokens."""
    if token_matches(request, settings.uazapi_token, "token"):
        return True
    try:
        body = read_object(request.body)
    except BadRequest:
        return False
    return secrets_equal(text_of(body.get("token")) or "", settings.uazapi_token)


def parse(request: Request) -> list[Event]:
    """Return the event of one body. Other events of uazapi give none. Raises BadRequest."""
    body = read_object(request.body)
    reader = READERS.get((first_text(body, "EventType", "event") or "").lower())
    if reader is None:
        return []
    channel = first_text(body, "instanceName", "instance", "owner")
    if channel is None:
        raise BadRequest("`instanceName` is missing: it must be the name of the uazapi instance, a string")
    event = reader(body, channel)
    return [event] if event else []


def _read_message(body: dict[str, Any], channel: str) -> Event | None:
    message = object_of(body.get("message")) or object_of(body.get("data"))
    chat = _chat(message, object_of(body.get("chat")), channel)
    message_id = _message_id(message)
    content = read_message(message, message_id)
    if chat is None or content is None:
        return None
    if target_id := text_of(message.get("edited")):
        return _edit(message, chat, target_id, content.text)
    return _message(message, chat, message_id, content)


def _message_id(message: dict[str, Any]) -> str | None:
    """Return WhatsApp's id of the message. uazapi's own `id` has it behind the number of the instance."""
    return text_of(message.get("messageid")) or (text_of(message.get("id")) or "").rpartition(":")[2] or None


def _message(message: dict[str, Any], chat: Chat, message_id: str | None, content: Content) -> Message:
    return Message(
        conversation=chat.conversation,
        message_id=message_id,
        timestamp_ms=time_of(message.get("messageTimestamp")),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=text_of(message.get("senderName")),
        from_me=chat.from_me,
        is_group=chat.is_group,
        conversation_alias=chat.alias,
        extra=content.extra_with(
            quoted_id=text_of(message.get("quoted")),
            participant=_author(message) if chat.is_group else None,
            via_api=chat.from_me and _is_true(message.get("wasSentByApi")),
        ),
    )


def _edit(message: dict[str, Any], chat: Chat, target_id: str, text: str | None) -> Edit | None:
    # an edit is a message with an id of its own and the id of its target in `edited`
    sent_ms = time_of(message.get("messageTimestamp"))
    return Edit(chat.conversation, target_id, text, sent_ms, chat.from_me) if text else None


def _read_presence(body: dict[str, Any], channel: str) -> Presence | None:
    """Read a typing event, whose form is not documented: flat, or as whatsmeow has it, uazapi's library."""
    presence = object_of(body.get("event")) or object_of(body.get("data")) or body
    message = {
        "chatid": first_text(presence, "chatid", "Chat"),
        "isGroup": presence.get("IsGroup", presence.get("isGroup")),
        "fromMe": presence.get("IsFromMe", presence.get("fromMe")),
        "sender_pn": first_text(presence, "sender_pn", "Sender"),
        "sender_lid": first_text(presence, "sender_lid", "SenderAlt"),
    }
    chat = _chat(message, object_of(body.get("chat")), channel)
    state = (first_text(presence, "presence", "State", "state") or "").lower()
    if chat is None or chat.from_me or state not in STATES:
        return None
    if state == "composing" and presence.get("Media") == "audio":
        state = "recording"
    return Presence(chat.conversation, state, _author(message) if chat.is_group else None)


READERS: dict[str, Callable[[dict[str, Any], str], Event | None]] = {
    "messages": _read_message,
    "message": _read_message,
    "presence": _read_presence,
}


def _chat(message: dict[str, Any], kept: dict[str, Any], channel: str) -> Chat | None:
    """Return the chat of a message. `kept` is uazapi's own record of the chat, empty in one of the envelopes."""
    from_me = _is_true(message.get("fromMe"))
    names = [message.get("chatid"), kept.get("wa_chatid"), message.get("chatlid"), kept.get("wa_chatlid")]
    # in our own messages the sender is us
    senders = [] if from_me else [message.get("sender_pn"), message.get("sender"), message.get("sender_lid")]
    jids = [name for name in (*names, *senders) if _is_jid(text_of(name) or "")]
    is_group = _is_true(message.get("isGroup"))
    return chat_of((NAME, channel), next(iter(jids), None), jids, is_group=is_group, from_me=from_me)


def _is_jid(name: str) -> bool:
    """Return True for an address on WhatsApp, False for an id of uazapi's own (`r1a2b3c4`)."""
    return "@" in name or name.isdigit()


def _author(message: dict[str, Any]) -> str | None:
    return person_of([message.get("sender_pn"), message.get("sender"), message.get("sender_lid")]).peer


def _is_true(value: Any) -> bool:
    return value in (True, "true", "True")


GATEWAY = Gateway(
    NAME,
    is_open,
    verify,
    parse,
    security_schemes=STATIC_TOKEN
    | {"uazapiToken": header_scheme("token", "UAZAPI_TOKEN; uazapi itself puts it into the body, as `token`")},
    auth_hint="uazapi sends the token of the instance, UAZAPI_TOKEN, in the body",
)
