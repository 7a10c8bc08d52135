"""Z-API: flat bodies with one content key each. Deliveries carry no signature: a static token only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buffer.models import Edit, Event, Message, Presence
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request, read_object, text_of, time_of, token_matches
from gateways.content import Content
from gateways.jid import Chat, chat_of, person
from gateways.whatsapp_content import first_text, read_content
from gateways.zapi_content import to_baileys_message

NAME = "zapi"
STATES = frozenset({"composing", "recording", "paused", "available", "unavailable"})


def is_open(settings: Settings) -> bool:
    """Whether a token is configured."""
    return settings.zapi_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Whether the token came along."""
    return token_matches(request, settings.zapi_token, "z-api-token", "client-token")


def parse(request: Request) -> list[Event]:
    """The event of one body; nothing for what is of no interest. Raises BadRequest."""
    body = read_object(request.body)
    reader = READERS.get((text_of(body.get("type")) or "").lower())
    if reader is None:
        return []
    channel = first_text(body, "instanceId", "connectedPhone")
    if channel is None:
        raise BadRequest("`instanceId` is missing: it must be the id of the Z-API instance, a string")
    chat = _chat(body, channel)
    event = reader(body, chat) if chat else None
    return [event] if event else []


def _received(body: dict[str, Any], chat: Chat) -> Event | None:
    # of a message not yet decrypted nothing may be remembered: its content comes later under the same id
    if body.get("waitingMessage") is True:
        return None
    message_id = text_of(body.get("messageId"))
    content = read_content(to_baileys_message(body), message_id)
    if content is None:
        return None
    if body.get("isEdit") is True:
        return _edit(body, chat, message_id, content.text)
    return _message(body, chat, message_id, content)


def _message(body: dict[str, Any], chat: Chat, message_id: str | None, content: Content) -> Message:
    around = {
        "quoted_id": text_of(body.get("referenceMessageId")),
        "participant": _author(body) if chat.is_group else None,
        "via_api": chat.from_me and body.get("fromApi") is True,
    }
    return Message(
        conversation=chat.conversation,
        message_id=message_id,
        timestamp_ms=time_of(body.get("momment"), 1),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=_sender_name(body, chat),
        from_me=chat.from_me,
        is_group=chat.is_group,
        conversation_alias=chat.alias,
        extra=content.extra | {name: value for name, value in around.items() if value},
    )


def _edit(body: dict[str, Any], chat: Chat, target_id: str | None, text: str | None) -> Edit | None:
    """An edit keeps the id of what it changes; its own is `editMessageId`."""
    if target_id is None or text is None:
        return None
    return Edit(chat.conversation, target_id, text, time_of(body.get("momment"), 1), chat.from_me)


def _presence(body: dict[str, Any], chat: Chat) -> Presence | None:
    state = (text_of(body.get("status")) or "").lower()
    return Presence(chat.conversation, state, _author(body) if chat.is_group else None) if state in STATES else None


READERS: dict[str, Callable[[dict[str, Any], Chat], Event | None]] = {
    "receivedcallback": _received,
    "presencechatcallback": _presence,
}


def _chat(body: dict[str, Any], channel: str) -> Chat | None:
    from_me = body.get("fromMe") is True
    if True in (body.get("isNewsletter"), body.get("broadcast")):
        return None
    # in our own messages the sender is us
    lids = [body.get("chatLid"), None if from_me else body.get("senderLid")]
    is_group = body.get("isGroup") is True
    return chat_of((NAME, channel), body.get("phone"), lids, is_group=is_group, from_me=from_me)


def _author(body: dict[str, Any]) -> str | None:
    return person([body.get("participantPhone"), body.get("participantLid")]).name


def _sender_name(body: dict[str, Any], chat: Chat) -> str | None:
    """The chat is named after the person, but not a group's nor that of our own message."""
    named_after = () if chat.is_group or chat.from_me else ("chatName",)
    return first_text(body, "senderName", *named_after)


GATEWAY = Gateway(NAME, is_open, verify, parse)
