"""A message on its way into the buffer: its identity for the dedupe memory and its stored form."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

import orjson

from buffer.keys import fingerprint_of
from buffer.models import Append, Message


def pack(message: Message, nonce: bytes, keywords: Collection[str], inline_max: int) -> Append:
    """The stored form of a message; `inline_max` is the largest inline media in base64 bytes.

    A message without an id is a new one each time, under an id of our own.
    """
    message_id = message.message_id or f"own-{uuid.uuid4().hex}"
    return Append(
        conversation=message.conversation,
        fingerprint=fingerprint_of(message_id),
        nonce=nonce,
        payload=orjson.dumps(_fields(message, message_id, inline_max)),
        order_ms=_order(message.timestamp_ms),
        name=message.sender_name if not message.is_group else None,
        keyword=bool(keywords) and (message.text or "").strip().casefold() in keywords,
    )


def _fields(message: Message, message_id: str, inline_max: int) -> dict[str, Any]:
    fields = {
        "message_id": message_id,
        "timestamp_ms": message.timestamp_ms,
        "kind": message.kind,
        "text": message.text,
        "media": _media(message.media, inline_max),
        "sender_name": message.sender_name,
        **message.extra,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _media(media: dict[str, Any] | None, inline_max: int) -> dict[str, Any] | None:
    inline = media.get("base64") if media else None
    if media is None or inline is None or len(inline) <= inline_max:
        return media
    return {**{name: value for name, value in media.items() if name != "base64"}, "omitted": True}


def _order(timestamp_ms: int | None) -> int | None:
    """Timestamps outside 13 digits would not sort; such a message is ordered by its receipt."""
    return timestamp_ms if timestamp_ms is not None and 0 <= timestamp_ms < 10**13 else None
