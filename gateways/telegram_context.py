"""What stands around a Telegram message: the message it answers, forwarding, hidden links, its topic."""

from __future__ import annotations

from typing import Any

from buffer.models import Ignored
from gateways.content import known, quoted_of
from gateways.fields import object_of, objects_of, text_of
from gateways.telegram_content import read_content

FORWARDED = ("forward_origin", "forward_date")
CONTEXT = frozenset(
    {
        *FORWARDED,
        "reply_to_message",
        "external_reply",
        "quote",
        "reply_to_story",
        "entities",
        "caption_entities",
        "media_group_id",
        "guest_query_id",
    }
)
"""The fields of a message that tell what stands around it."""


def read_context(message: dict[str, Any], extra: dict[str, Any], is_group: bool) -> dict[str, Any]:
    """Return the optional parts of a message: `extra`, and those around it."""
    if CONTEXT.isdisjoint(message):
        return extra
    replied = _replied(message)
    return extra | known(
        quoted_id=text_of(replied.get("message_id")),
        album_id=text_of(message.get("media_group_id")),
        quoted=_quoted(message, replied, is_group) or None,
        forwarded=any(name in message for name in FORWARDED) or None,
        links=_links(message) or None,
        guest_query_id=text_of(message.get("guest_query_id")),
    )


def topic_name(message: dict[str, Any]) -> str | None:
    """Return the name of the topic. Messages in a topic that answer nothing answer the notice of its creation."""
    created = object_of(object_of(message.get("reply_to_message")).get("forum_topic_created"))
    return text_of(created.get("name"))


def _replied(message: dict[str, Any]) -> dict[str, Any]:
    replied = object_of(message.get("reply_to_message"))
    return {} if "forum_topic_created" in replied else replied


def _quoted(message: dict[str, Any], replied: dict[str, Any], is_group: bool) -> dict[str, Any]:
    """Return the `quoted` part. The words that the person marked go before the whole text."""
    if story := object_of(message.get("reply_to_story")):
        return quoted_of(text_of(story.get("id")), story=True)
    external = object_of(message.get("external_reply"))
    part = text_of(object_of(message.get("quote")).get("text"))
    source = replied or external
    content = read_content(replied or {name: part for name, part in external.items() if name != "origin"})
    kind, text = (None, None) if content is None or isinstance(content, Ignored) else (content.kind, content.text)
    return quoted_of(
        text_of(source.get("message_id")),
        text=part or text,
        kind=kind,
        from_me=_is_ours(replied, message, is_group) if replied else None,
    )


def _is_ours(replied: dict[str, Any], message: dict[str, Any], is_group: bool) -> bool | None:
    """Return True for a message of ours. None for a bot in a group, which may be another one."""
    author = object_of(replied.get("from"))
    if not author:
        return None
    if "business_connection_id" in message:
        return bool(author.get("id") != object_of(message.get("chat")).get("id"))
    is_bot = author.get("is_bot") is True
    return None if is_bot and is_group else is_bot


def _links(message: dict[str, Any]) -> list[str]:
    """Return the addresses behind words of the text. The addresses that the text shows are not among them."""
    entities = objects_of(message.get("entities")) + objects_of(message.get("caption_entities"))
    return [url for entity in entities if entity.get("type") == "text_link" and (url := text_of(entity.get("url")))]
