"""Telegram's Bot API: one update per request, with the `secret_token` given to setWebhook in a header.

The peer of a topic is `<chat>:<topic>`, that of a chat of a business account `<chat>@<business connection>`: a message
is answered in its own topic, and through its own connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from buffer.models import Conversation, Edit, Event, Ignored, Message, Revoke
from config.settings import Settings
from gateways.base import Gateway, Request
from gateways.content import Content, thread_of
from gateways.credentials import STATIC_TOKEN, header_scheme, token_matches
from gateways.fields import object_of, read_object, text_of, time_of
from gateways.ignored import ignored, misfit
from gateways.telegram_content import full_name, read_button, read_content, read_poll_answer, read_reaction
from gateways.telegram_context import read_context, topic_name
from gateways.telegram_send import SENDER

NAME = "telegram"
GROUP_TYPES = ("group", "supergroup")
OTHER_UPDATES = frozenset(
    {
        "business_connection",
        "channel_post",
        "chat_boost",
        "chat_join_request",
        "chat_member",
        "chosen_inline_result",
        "edited_channel_post",
        "inline_query",
        "managed_bot",
        "message_reaction_count",
        "my_chat_member",
        "poll",
        "pre_checkout_query",
        "purchased_paid_media",
        "removed_chat_boost",
        "shipping_query",
        "subscription",
    }
)
"""Updates that hold no message of a person to us."""


class Chat(NamedTuple):
    """The chat of an update, and the fields that an answer in it needs."""

    conversation: Conversation
    is_group: bool
    thread: dict[str, Any] | None = None
    connection_id: str | None = None


def is_open(settings: Settings) -> bool:
    """Return True if a secret token is configured."""
    return settings.telegram_secret_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Return True if the request carries the secret token."""
    return token_matches(request, settings.telegram_secret_token, "x-telegram-bot-api-secret-token")


def parse(request: Request) -> Sequence[Event]:
    """Return the events of one update. Raises BadRequest.

    An update does not name the bot that received it, so the tail of the path names the channel.
    """
    update = read_object(request.body)
    channel = request.tail.strip("/") or "default"
    for name, reader in READERS.items():
        if isinstance(content := update.get(name), dict):
            return reader(content, channel)
    if isinstance(answer := update.get("poll_answer"), dict):
        return [_read_poll_answer(answer, channel, text_of(update.get("update_id")))]
    return [_unread(update)]


def _unread(update: dict[str, Any]) -> Ignored:
    names = [name for name, content in update.items() if isinstance(content, dict)]
    if any(name in OTHER_UPDATES for name in names):
        return ignored("unknown_event")
    return misfit(next(iter(names), None), update)


def _read_message(message: dict[str, Any], channel: str) -> list[Event]:
    chat = _chat(message, channel)
    if chat is None:
        return [_without_chat(message)]
    content = read_content(message)
    if isinstance(content, Ignored):
        return [content]
    event = _message(message, chat, message.get("from"), content, message.get("message_id"))
    event.extra = read_context(message, event.extra, chat.is_group)
    event.from_me = _is_ours(message, chat)
    if event.from_me and _is_of_a_bot(message):
        event.extra = event.extra | {"via_api": True}
    return [event]


def _read_edit(message: dict[str, Any], channel: str) -> list[Event]:
    chat, target_id = _chat(message, channel), text_of(message.get("message_id"))
    if chat is None or target_id is None:
        return [_without_chat(message) if chat is None else misfit("edited_message", message)]
    content = read_content(message)
    if isinstance(content, Ignored) or content.text is None:
        return [ignored("edit_without_text")]
    edited_ms = time_of(message.get("edit_date")) or time_of(message.get("date"))
    return [Edit(chat.conversation, target_id, content.text, edited_ms, _is_ours(message, chat))]


def _read_deleted(deleted: dict[str, Any], channel: str) -> list[Event]:
    """Read the ids of the messages that were deleted in a chat of a business account."""
    chat, listed = _chat(deleted, channel), deleted.get("message_ids")
    target_ids = [target_id for each in listed if (target_id := text_of(each))] if isinstance(listed, list) else []
    if chat is None or not target_ids:
        return [misfit("deleted_business_messages", deleted)]
    return [Revoke(chat.conversation, target_id) for target_id in target_ids]


def _read_callback(query: dict[str, Any], channel: str) -> list[Event]:
    # only the chat, because the date of the message with the button is not the date of the tap, which has none
    message, content = object_of(query.get("message")), read_button(query)
    chat = _chat(message, channel)
    if chat is None or content is None:
        is_known = any(name in query for name in ("game_short_name", "inline_message_id"))
        return [ignored("unknown_event") if is_known else misfit("callback_query", query, message)]
    return [_message({}, chat, query.get("from"), content, query.get("id"))]


def _read_reaction(change: dict[str, Any], channel: str) -> list[Event]:
    chat, content = _chat(change, channel), read_reaction(change)
    if chat is None or content is None:
        return [ignored("taken_back") if chat else misfit("message_reaction", change)]
    reaction_id = ":".join(("reaction", *(text_of(change.get(name)) or "" for name in ("message_id", "date"))))
    return [_message(change, chat, change.get("user"), content, reaction_id)]


def _read_poll_answer(answer: dict[str, Any], channel: str, update_id: str | None) -> Event:
    """Read a vote. It names the voter and no chat, so it belongs to the private chat with the voter."""
    user, content = object_of(answer.get("user")), read_poll_answer(answer)
    chat = _chat({"chat": {"id": user.get("id"), "type": "private"}}, channel)
    if chat is None:
        return ignored("unknown_event") if "voter_chat" in answer else misfit("poll_answer", answer)
    if content is None:
        return ignored("taken_back")
    return _message({}, chat, user, content, f"poll_answer:{update_id}" if update_id else None)


READERS: dict[str, Callable[[dict[str, Any], str], Sequence[Event]]] = {
    "message": _read_message,
    "edited_message": _read_edit,
    "callback_query": _read_callback,
    "message_reaction": _read_reaction,
    "business_message": _read_message,
    "edited_business_message": _read_edit,
    "deleted_business_messages": _read_deleted,
    "guest_message": _read_message,
}


def _message(update: dict[str, Any], chat: Chat, user: Any, content: Content, message_id: Any) -> Message:
    author = object_of(user)
    return Message(
        conversation=chat.conversation,
        message_id=text_of(message_id),
        timestamp_ms=time_of(update.get("date")),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=full_name(author),
        is_group=chat.is_group,
        extra=_extra(content, chat, author) if chat.is_group or chat.thread or chat.connection_id else content.extra,
    )


def _extra(content: Content, chat: Chat, author: dict[str, Any]) -> dict[str, Any]:
    return content.extra_with(
        participant=text_of(author.get("id")) if chat.is_group else None,
        thread=chat.thread,
        business_connection_id=chat.connection_id,
    )


def _chat(update: dict[str, Any], channel: str) -> Chat | None:
    chat = object_of(update.get("chat"))
    chat_id, chat_type = text_of(chat.get("id")), chat.get("type")
    if chat_id is None or chat_type == "channel":
        return None
    is_group = chat_type in GROUP_TYPES
    if "message_thread_id" in update or "business_connection_id" in update or "direct_messages_topic" in update:
        return _inner_chat(update, channel, chat_id, is_group)
    return Chat(Conversation(NAME, channel, chat_id), is_group)


def _inner_chat(update: dict[str, Any], channel: str, chat_id: str, is_group: bool) -> Chat:
    """Return a chat inside a chat: a topic, the chat of a business account, or one person's messages to a channel."""
    connection_id = text_of(update.get("business_connection_id"))
    direct = object_of(update.get("direct_messages_topic"))
    topic_id = update.get("message_thread_id") if update.get("is_topic_message") is True else direct.get("topic_id")
    thread = thread_of(topic_id, topic_name(update) or full_name(object_of(direct.get("user"))))
    peer = chat_id + (f"@{connection_id}" if connection_id else "") + (f":{thread['id']}" if thread else "")
    return Chat(Conversation(NAME, channel, peer), is_group and not direct, thread, connection_id)


def _without_chat(message: dict[str, Any]) -> Ignored:
    chat = object_of(message.get("chat"))
    return ignored("unknown_event") if chat.get("type") == "channel" else misfit("message", message, chat)


def _is_ours(message: dict[str, Any], chat: Chat) -> bool:
    """Return True if a bot wrote the message, or the owner of the business account that we answer for.

    In messages of anonymous admins and channels, `from` is a bot too. The chat of a business account has the id of the
    person on the other side.
    """
    author = object_of(message.get("from"))
    if chat.connection_id and "id" in author and author.get("id") != object_of(message.get("chat")).get("id"):
        return True
    return author.get("is_bot") is True and not object_of(message.get("sender_chat"))


def _is_of_a_bot(message: dict[str, Any]) -> bool:
    """Return True if a bot wrote the message, also one in the name of a business account."""
    return "sender_business_bot" in message or object_of(message.get("from")).get("is_bot") is True


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
    sender=SENDER,
)
