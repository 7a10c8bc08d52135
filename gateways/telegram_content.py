"""The content of a Telegram message, tap or reaction. A value of an unexpected type counts as absent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gateways.content import Content, choice_content, contacts_content, location_content, media_of, unknown_content
from gateways.fields import number_of, object_of, objects_of, text_of

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
NOT_CONTENT_PREFIXES = ("forward_", "reply_to_", "caption", "has_", "is_", "show_")
SERVICE_PREFIXES = (
    "boost_added",
    "channel_chat_",
    "chat_background_",
    "chat_owner_",
    "chat_shared",
    "checklist_tasks_",
    "connected_website",
    "delete_chat_",
    "direct_message_price_",
    "forum_topic_",
    "general_forum_topic_",
    "giveaway_c",
    "group_chat_",
    "left_chat_",
    "message_auto_delete_",
    "migrate_",
    "new_chat_",
    "paid_message_price_",
    "passport_data",
    "pinned_message",
    "proximity_alert_",
    "suggested_post_",
    "supergroup_chat_",
    "users_shared",
    "video_chat_",
    "write_access_",
)
"""Fields of the messages that Telegram itself writes into a chat."""


def read_content(message: dict[str, Any]) -> Content | None:
    """Read a message. Return None for a service message of Telegram (joined, pinned …)."""
    if text := text_of(message.get("text")):
        return Content("text", text)
    for name, read in READERS.items():
        if content := read(message.get(name)):
            return _captioned(content, text_of(message.get("caption")))
    return _unknown(message)


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
    return choice_content(text_of(fields.get("data")), text_of(fields.get("button_text"))) if fields else None


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
}


def full_name(user: dict[str, Any]) -> str | None:
    """Return the full name of a user or contact. A last name that begins with the first name is already full."""
    first, last = text_of(user.get("first_name")) or "", text_of(user.get("last_name")) or ""
    whole = last if f"{last} ".startswith(f"{first} ") else f"{first} {last}"
    return whole.strip() or None


def _unknown(message: dict[str, Any]) -> Content | None:
    others = (name for name in message if name not in NOT_CONTENT and name not in READERS)
    parts = [name for name in others if not name.startswith(NOT_CONTENT_PREFIXES)]
    if not parts or any(name.startswith(SERVICE_PREFIXES) for name in parts):
        return None
    return unknown_content(parts[0], text_of(message.get("caption")))
