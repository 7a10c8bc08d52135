"""Telegram's Bot API: one update per request, known by the secret that was given to setWebhook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from buffer.models import Conversation, Edit, Event, Message
from config.settings import Settings
from gateways.base import Gateway, Request, object_of, read_object, text_of, time_of, token_matches
from gateways.content import Content
from gateways.telegram_content import full_name, pressed_button, reaction, read_content

NAME = "telegram"
GROUP_TYPES = ("group", "supergroup")


class Chat(NamedTuple):
    """Where an update happened."""

    conversation: Conversation
    is_group: bool


def is_open(settings: Settings) -> bool:
    """Whether a secret token is configured."""
    return settings.telegram_secret_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Whether the secret token came along."""
    return token_matches(request, settings.telegram_secret_token, "x-telegram-bot-api-secret-token")


def parse(request: Request) -> list[Event]:
    """The event of one update; nothing for what is of no interest. Raises BadRequest.

    No update says which of our bots it is for, so the tail names the channel.
    """
    update = read_object(request.body)
    channel = request.tail.strip("/") or "default"
    for name, reader in READERS.items():
        if isinstance(happened := update.get(name), dict):
            event = reader(happened, channel)
            return [event] if event else []
    return []


def _said(message: dict[str, Any], channel: str) -> Message | None:
    said = _message(message, channel, message.get("from"), read_content(message), message.get("message_id"))
    if said is not None:
        around = {
            "quoted_id": text_of(object_of(message.get("reply_to_message")).get("message_id")),
            "album_id": text_of(message.get("media_group_id")),
        }
        said.extra |= {name: value for name, value in around.items() if value}
        said.from_me = _is_bot(message)
    return said


def _edited(message: dict[str, Any], channel: str) -> Edit | None:
    chat, target_id = _chat(message, channel), text_of(message.get("message_id"))
    text = text_of(message.get("text")) or text_of(message.get("caption"))
    if chat is None or target_id is None or text is None:
        return None
    edited_ms = time_of(message.get("edit_date"), 1000) or time_of(message.get("date"), 1000)
    return Edit(chat.conversation, target_id, text, edited_ms, _is_bot(message))


def _pressed(query: dict[str, Any], channel: str) -> Message | None:
    # the date of the message with the button is not that of the tap, which has none
    where = {"chat": object_of(query.get("message")).get("chat")}
    return _message(where, channel, query.get("from"), pressed_button(query), query.get("id"))


def _reacted(change: dict[str, Any], channel: str) -> Message | None:
    reaction_id = ":".join(("reaction", *(text_of(change.get(name)) or "" for name in ("message_id", "date"))))
    return _message(change, channel, change.get("user"), reaction(change), reaction_id)


READERS: dict[str, Callable[[dict[str, Any], str], Event | None]] = {
    "message": _said,
    "edited_message": _edited,
    "callback_query": _pressed,
    "message_reaction": _reacted,
}


def _message(
    happened: dict[str, Any], channel: str, user: Any, content: Content | None, message_id: Any
) -> Message | None:
    chat, author = _chat(happened, channel), object_of(user)
    if chat is None or content is None:
        return None
    participant = text_of(author.get("id")) if chat.is_group else None
    return Message(
        conversation=chat.conversation,
        message_id=text_of(message_id),
        timestamp_ms=time_of(happened.get("date"), 1000),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=full_name(author),
        is_group=chat.is_group,
        extra=content.extra | ({"participant": participant} if participant else {}),
    )


def _chat(happened: dict[str, Any], channel: str) -> Chat | None:
    """The chat, by its id as it is: that of a group is negative."""
    chat = object_of(happened.get("chat"))
    chat_id, chat_type = text_of(chat.get("id")), chat.get("type")
    if chat_id is None or chat_type == "channel":
        return None
    return Chat(Conversation(NAME, channel, chat_id), chat_type in GROUP_TYPES)


def _is_bot(message: dict[str, Any]) -> bool:
    """Whether a bot wrote it; anonymous admins and channels also show a bot, but name themselves beside it."""
    return object_of(message.get("from")).get("is_bot") is True and not object_of(message.get("sender_chat"))


GATEWAY = Gateway(NAME, is_open, verify, parse)
