"""What a Telegram message, tap or reaction says; a value of an unexpected type counts as absent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gateways.base import number_of, object_of, objects_of, text_of
from gateways.content import Content, carded, chosen, located, media_of, unknown

ABOUT = frozenset(
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
ABOUT_PREFIXES = ("forward_", "reply_to_", "caption", "has_", "is_", "show_")
SERVICE = (
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


def read_content(message: dict[str, Any]) -> Content | None:
    """Read a message; None for what Telegram itself says in a chat (joined, pinned …)."""
    if text := text_of(message.get("text")):
        return Content("text", text)
    for name, read in READERS.items():
        if content := read(message.get(name)):
            return _captioned(content, text_of(message.get("caption")))
    return _unknown(message)


def reaction(change: dict[str, Any]) -> Content | None:
    """The reaction that was added; None when one was only taken back."""
    kept, target_id = set(map(_which, objects_of(change.get("old_reaction")))), text_of(change.get("message_id"))
    added = [one for one in objects_of(change.get("new_reaction")) if _which(one) not in kept]
    if not added or target_id is None:
        return None
    return Content("reaction", text_of(added[-1].get("emoji")), extra={"target_id": target_id})


def _which(one: dict[str, Any]) -> tuple[str | None, ...]:
    """What a reaction is: an emoji, a custom emoji, or one that was paid for."""
    return tuple(text_of(one.get(name)) for name in ("type", "emoji", "custom_emoji_id"))


def pressed_button(query: dict[str, Any]) -> Content | None:
    """The tapped button, under its label as long as the message with it is known."""
    data = text_of(query.get("data"))
    keyboard = object_of(object_of(query.get("message")).get("reply_markup")).get("inline_keyboard")
    rows = keyboard if isinstance(keyboard, list) else []
    labels = {
        text_of(button.get("callback_data")): text_of(button.get("text")) for row in rows for button in objects_of(row)
    }
    return chosen(data, labels.get(data)) if data else None


def _captioned(content: Content, caption: str | None) -> Content:
    if content.media:
        content.text = content.media["caption"] = caption
    return content


def _file(kind: str, mime: str | None, file: Any) -> Content | None:
    # the address of a file holds the bot's own token: only the id goes on
    told = object_of(file)
    media = media_of(None, text_of(told.get("file_id")), text_of(told.get("mime_type")) or mime, None)
    if filename := text_of(told.get("file_name")):
        media["filename"] = filename
    return Content(kind, media=media) if told else None


def _photo(sizes: Any) -> Content | None:
    largest = max(reversed(objects_of(sizes)), key=_area, default=None)
    return _file("image", "image/jpeg", largest)


def _area(size: dict[str, Any]) -> float:
    return (number_of(size.get("width")) or 0) * (number_of(size.get("height")) or 0)


def _sticker(sticker: Any) -> Content | None:
    told = object_of(sticker)
    animated, video = told.get("is_animated") is True, told.get("is_video") is True
    content = _file("image", "application/x-tgsticker" if animated else "video/webm" if video else "image/webp", told)
    if content:
        content.extra["sticker"] = True
    return content


def _location(location: Any) -> Content | None:
    return _venue({"location": location}) if object_of(location) else None


def _venue(venue: Any) -> Content | None:
    told = object_of(venue)
    point = object_of(told.get("location"))
    latitude, longitude = number_of(point.get("latitude")), number_of(point.get("longitude"))
    return located(latitude, longitude, text_of(told.get("title")), text_of(told.get("address"))) if told else None


def _contact(contact: Any) -> Content | None:
    told = object_of(contact)
    phone = text_of(told.get("phone_number"))
    return carded([{"name": full_name(told), "phones": [phone] if phone else []}]) if told else None


def _web_app(sent: Any) -> Content | None:
    told = object_of(sent)
    return chosen(text_of(told.get("data")), text_of(told.get("button_text"))) if told else None


# an animation comes with a `document` of the same file, and a venue with its `location`: the first one counts
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
    """The name of a user or of a contact; some write the whole of it into the last name."""
    first, last = text_of(user.get("first_name")) or "", text_of(user.get("last_name")) or ""
    whole = last if f"{last} ".startswith(f"{first} ") else f"{first} {last}"
    return whole.strip() or None


def _unknown(message: dict[str, Any]) -> Content | None:
    told = (name for name in message if name not in ABOUT and name not in READERS)
    said = [name for name in told if not name.startswith(ABOUT_PREFIXES)]
    if not said or any(name.startswith(SERVICE) for name in said):
        return None
    return unknown(said[0], text_of(message.get("caption")))
