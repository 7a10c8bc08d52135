"""Telegram's Bot API: one update per request, with the `secret_token` given to setWebhook in a header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from buffer.models import Conversation, Edit, Event, Message
from config.settings import Settings
from gateways.base import Gateway, Request
from gateways.content import Content
from gateways.credentials import STATIC_TOKEN, header_scheme, token_matches
from gateways.fields import object_of, read_object, text_of, time_of
from gateways.telegram_content import full_name, read_button, read_content, read_reaction

NAME = "telegram"
GROUP_TYPES = ("group", "supergroup")


class Chat(NamedTuple):
    """The chat of an update."""

    conversation: Conversation
    is_group: bool


def is_open(settings: Settings) -> bool:
    """Return True if a secret token is configured."""
    return settings.telegram_secret_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Return True if the request carries the secret token."""
    return token_matches(request, settings.telegram_secret_token, "x-telegram-bot-api-secret-token")


def parse(request: Request) -> list[Event]:
    """Return the event of one update. Updates of other types give none. Raises BadRequest.

    An update does not name the bot that received it, so the tail of the path names the channel.
    """
    update = read_object(request.body)
    channel = request.tail.strip("/") or "default"
    for name, reader in READERS.items():
        if isinstance(content := update.get(name), dict):
            event = reader(content, channel)
            return [event] if event else []
    return []


def _read_message(message: dict[str, Any], channel: str) -> Message | None:
    event = _message(message, channel, message.get("from"), read_content(message), message.get("message_id"))
    if event is not None:
        if quoted_id := text_of(object_of(message.get("reply_to_message")).get("message_id")):
            event.extra["quoted_id"] = quoted_id
        if album_id := text_of(message.get("media_group_id")):
            event.extra["album_id"] = album_id
        event.from_me = _is_bot(message)
    return event


def _read_edit(message: dict[str, Any], channel: str) -> Edit | None:
    chat, target_id = _chat(message, channel), text_of(message.get("message_id"))
    text = text_of(message.get("text")) or text_of(message.get("caption"))
    if chat is None or target_id is None or text is None:
        return None
    edited_ms = time_of(message.get("edit_date")) or time_of(message.get("date"))
    return Edit(chat.conversation, target_id, text, edited_ms, _is_bot(message))


def _read_callback(query: dict[str, Any], channel: str) -> Message | None:
    # only the chat, because the date of the message with the button is not the date of the tap, which has none
    update = {"chat": object_of(query.get("message")).get("chat")}
    return _message(update, channel, query.get("from"), read_button(query), query.get("id"))


def _read_reaction(change: dict[str, Any], channel: str) -> Message | None:
    reaction_id = ":".join(("reaction", *(text_of(change.get(name)) or "" for name in ("message_id", "date"))))
    return _message(change, channel, change.get("user"), read_reaction(change), reaction_id)


READERS: dict[str, Callable[[dict[str, Any], str], Event | None]] = {
    "message": _read_message,
    "edited_message": _read_edit,
    "callback_query": _read_callback,
    "message_reaction": _read_reaction,
}


def _message(
    update: dict[str, Any], channel: str, user: Any, content: Content | None, message_id: Any
) -> Message | None:
    chat, author = _chat(update, channel), object_of(user)
    if chat is None or content is None:
        return None
    participant = text_of(author.get("id")) if chat.is_group else None
    return Message(
        conversation=chat.conversation,
        message_id=text_of(message_id),
        timestamp_ms=time_of(update.get("date")),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=full_name(author),
        is_group=chat.is_group,
        extra=content.extra_with(participant=participant),
    )


def _chat(update: dict[str, Any], channel: str) -> Chat | None:
    chat = object_of(update.get("chat"))
    chat_id, chat_type = text_of(chat.get("id")), chat.get("type")
    if chat_id is None or chat_type == "channel":
        return None
    return Chat(Conversation(NAME, channel, chat_id), chat_type in GROUP_TYPES)


def _is_bot(message: dict[str, Any]) -> bool:
    """Return True if a bot wrote the message. In messages of anonymous admins and channels, `from` is a bot too."""
    return object_of(message.get("from")).get("is_bot") is True and not object_of(message.get("sender_chat"))


GATEWAY = Gateway(
    NAME,
    is_open,
    verify,
    parse,
    verify_head=verify,
    security_schemes=STATIC_TOKEN
    | {
        "telegramSecret": header_scheme(
            "X-Telegram-Bot-Api-Secret-Token", "TELEGRAM_SECRET_TOKEN, as given to setWebhook"
        )
    },
    auth_hint="with <TELEGRAM_SECRET_TOKEN> as setWebhook's `secret_token`",
)
