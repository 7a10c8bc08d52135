"""The content of a Telegram message, tap or reaction. A value of an unexpected type counts as absent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from buffer.models import Ignored
from gateways.answers import parsed
from gateways.content import (
    Content,
    amount_of,
    choice_content,
    contacts_content,
    location_content,
    media_of,
    order_of,
    unknown_content,
)
from gateways.fields import int_of, number_of, object_of, objects_of, text_of
from gateways.ignored import ignored
from gateways.raw import words_of

NOT_CONTENT = frozenset(
    {
        "message_id",
        "message_thread_id",
        "direct_messages_topic",
        "from",
        "sender_chat",
        "sender_boost_count",
        "sender_business_bot",
        "sender_tag",
        "date",
        "edit_date",
        "business_connection_id",
        "chat",
        "via_bot",
        "author_signature",
        "media_group_id",
        "text",
        "entities",
        "quote",
        "external_reply",
        "link_preview_options",
        "effect_id",
        "reply_markup",
        "suggested_post_info",
        "paid_star_count",
    }
)
NOT_CONTENT_PREFIXES = ("forward_", "reply_to_", "guest_", "caption", "has_", "is_", "show_")
SERVICE_PREFIXES = (
    "boost_added",
    "channel_chat_",
    "chat_background_",
    "chat_owner_",
    "chat_shared",
    "checklist_tasks_",
    "community_chat_",
    "connected_website",
    "delete_chat_",
    "direct_message_price_",
    "forum_topic_",
    "general_forum_topic_",
    "gift_upgrade_",
    "giveaway_c",
    "group_chat_",
    "left_chat_",
    "managed_bot_",
    "message_auto_delete_",
    "migrate_",
    "new_chat_",
    "paid_message_price_",
    "passport_data",
    "pinned_message",
    "poll_option_",
    "proximity_alert_",
    "refunded_payment",
    "suggested_post_",
    "supergroup_chat_",
    "user_shared",
    "users_shared",
    "video_chat_",
    "voice_chat_",
    "write_access_",
)
"""Fields of the messages that Telegram itself writes into a chat."""

UNIT_CURRENCIES = frozenset({"CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XTR"})
"""Currencies that Telegram counts in whole units. It counts the others in hundredths."""


def read_content(message: dict[str, Any]) -> Content | Ignored:
    """Read a message. Return the reason if it is none: a service message of Telegram (joined, pinned …)."""
    if text := text_of(message.get("text")):
        return Content("text", text)
    return read_part(message) or _unknown(message)


def read_part(message: dict[str, Any]) -> Content | None:
    """Read the part of a message that is of a known kind: a file, a place, a contact. None without any."""
    for name, read in READERS.items():
        if name in message and (content := read(message[name])):
            return _captioned(content, text_of(message.get("caption")))
    return None


def read_reaction(change: dict[str, Any]) -> Content | None:
    """Read the reaction that was added. Return None if one was only removed."""
    old, target_id = set(map(_reaction_key, objects_of(change.get("old_reaction")))), text_of(change.get("message_id"))
    added = [item for item in objects_of(change.get("new_reaction")) if _reaction_key(item) not in old]
    if not added or target_id is None:
        return None
    return Content("reaction", text_of(added[-1].get("emoji")), extra={"target_id": target_id})


def _reaction_key(reaction: dict[str, Any]) -> tuple[str | None, ...]:
    """Return the identity of a reaction: an emoji, a custom emoji, or a paid one."""
    return tuple(text_of(reaction.get(name)) for name in ("type", "emoji", "custom_emoji_id"))


def read_button(query: dict[str, Any]) -> Content | None:
    """Read a tapped button. Its title is the label, if Telegram still has the message with the button."""
    data = text_of(query.get("data"))
    keyboard = object_of(object_of(query.get("message")).get("reply_markup")).get("inline_keyboard")
    rows = keyboard if isinstance(keyboard, list) else []
    labels = {
        text_of(button.get("callback_data")): text_of(button.get("text")) for row in rows for button in objects_of(row)
    }
    return choice_content(data, labels.get(data)) if data else None


def read_poll_answer(answer: dict[str, Any]) -> Content | None:
    """Read a vote. Telegram tells the numbers of the chosen options, from 0 on. None if the vote was taken back."""
    chosen = answer.get("option_ids")
    numbers = [number for each in chosen if (number := text_of(each))] if isinstance(chosen, list) else []
    content = choice_content(", ".join(numbers) or None, None)
    content.extra["poll_id"] = text_of(answer.get("poll_id"))
    return content if numbers else None


def _captioned(content: Content, caption: str | None) -> Content:
    if content.media:
        content.text = content.media["caption"] = caption
    return content


def _file(kind: str, mime: str | None, file: Any) -> Content | None:
    # no url: it would contain the token of the bot
    fields = object_of(file)
    media = media_of(None, text_of(fields.get("file_id")), text_of(fields.get("mime_type")) or mime, None)
    if filename := text_of(fields.get("file_name")):
        media["filename"] = filename
    return Content(kind, media=media) if fields else None


def _photo(sizes: Any) -> Content | None:
    largest = max(reversed(objects_of(sizes)), key=_area, default=None)
    return _file("image", "image/jpeg", largest)


def _area(size: dict[str, Any]) -> float:
    return (number_of(size.get("width")) or 0) * (number_of(size.get("height")) or 0)


def _sticker(sticker: Any) -> Content | None:
    fields = object_of(sticker)
    animated, video = fields.get("is_animated") is True, fields.get("is_video") is True
    content = _file("image", "application/x-tgsticker" if animated else "video/webm" if video else "image/webp", fields)
    if content:
        content.extra["sticker"] = True
    return content


def _location(location: Any) -> Content | None:
    return _venue({"location": location}) if object_of(location) else None


def _venue(venue: Any) -> Content | None:
    fields = object_of(venue)
    point = object_of(fields.get("location"))
    latitude, longitude = number_of(point.get("latitude")), number_of(point.get("longitude"))
    title, address = text_of(fields.get("title")), text_of(fields.get("address"))
    return location_content(latitude, longitude, title, address) if fields else None


def _contact(contact: Any) -> Content | None:
    card = object_of(contact)
    phone = text_of(card.get("phone_number"))
    return contacts_content([{"name": full_name(card), "phones": [phone] if phone else []}]) if card else None


def _web_app(data: Any) -> Content | None:
    fields = object_of(data)
    answers = text_of(fields.get("data"))
    is_form = isinstance(parsed(answers), dict | list)
    title = text_of(fields.get("button_text"))
    return choice_content(answers, title, response_json=answers if is_form else None) if fields else None


def _paid_media(paid: Any) -> Content | None:
    """Read the first paid file that Telegram shows to the bot."""
    for item in objects_of(object_of(paid).get("paid_media")):
        for name in ("photo", "video"):
            if content := READERS[name](item.get(name)):
                return content
    return None


# in this order: an animation has a `document` of the same file too, and a venue a `location`
READERS: dict[str, Callable[[Any], Content | None]] = {
    "animation": partial(_file, "video", "video/mp4"),
    "photo": _photo,
    "video": partial(_file, "video", "video/mp4"),
    "video_note": partial(_file, "video", "video/mp4"),
    "voice": partial(_file, "audio", "audio/ogg"),
    "audio": partial(_file, "audio", "audio/mpeg"),
    "sticker": _sticker,
    "document": partial(_file, "document", None),
    "venue": _venue,
    "location": _location,
    "contact": _contact,
    "web_app_data": _web_app,
    "paid_media": _paid_media,
}


def _question(poll: Any) -> str | None:
    return text_of(object_of(poll).get("question"))


def _tasks(checklist: Any) -> str | None:
    fields = object_of(checklist)
    tasks = [f"- {text}" for task in objects_of(fields.get("tasks")) if (text := text_of(task.get("text")))]
    return "\n".join(([title] if (title := text_of(fields.get("title"))) else []) + tasks) or None


def _titled(body: Any) -> str | None:
    fields = object_of(body)
    return "\n".join(text for name in ("title", "description", "text") if (text := text_of(fields.get(name)))) or None


def _thrown(dice: Any) -> str | None:
    fields = object_of(dice)
    return " ".join(text for name in ("emoji", "value") if (text := text_of(fields.get(name)))) or None


def _gift_words(gift: Any) -> str | None:
    return text_of(object_of(gift).get("text"))


WORDS: dict[str, Callable[[Any], str | None]] = {
    "poll": _question,
    "checklist": _tasks,
    "invoice": _titled,
    "game": _titled,
    "dice": _thrown,
    "gift": _gift_words,
    "unique_gift": _gift_words,
    "successful_payment": lambda payment: None,
}
"""How the words are read in parts that have no kind of their own. `words_of` reads those of other parts."""


def _payment(payment: Any) -> dict[str, Any]:
    """Return an invoice, or the payment of one, as an order."""
    fields = object_of(payment)
    currency = text_of(fields.get("currency"))
    total = amount_of(int_of(fields.get("total_amount")), 1 if currency in UNIT_CURRENCIES else 100)
    return order_of(fields.get("invoice_payload"), None, (), total, currency)


def full_name(user: dict[str, Any]) -> str | None:
    """Return the full name of a user or contact. A last name that begins with the first name is already full."""
    first, last = text_of(user.get("first_name")) or "", text_of(user.get("last_name")) or ""
    whole = last if f"{last} ".startswith(f"{first} ") else f"{first} {last}"
    return whole.strip() or None


def _unknown(message: dict[str, Any]) -> Content | Ignored:
    others = (name for name in message if name not in NOT_CONTENT and name not in READERS)
    parts = [name for name in others if not name.startswith(NOT_CONTENT_PREFIXES)]
    if any(name.startswith(SERVICE_PREFIXES) for name in parts):
        return ignored("notification")
    name = next(iter(parts), None) or next((name for name in READERS if message.get(name)), None)
    if name is None:
        words = words_of(message.get("text"))
        return Content("text", words) if words else ignored("empty")
    body = message[name] if isinstance(message[name], dict | list) else None
    content = unknown_content(name, text_of(message.get("caption")) or WORDS.get(name, words_of)(body), body)
    if name in ("invoice", "successful_payment") and (order := _payment(body)):
        content.extra["order"] = order
    return content
