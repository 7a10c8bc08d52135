"""A message on its way into the buffer: its identity for the dedupe memory and its stored form."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection
from typing import Any

import orjson

from buffer.keys import fingerprint_of
from buffer.models import Append, Change, Edit, Message

ALWAYS_NEW = "generic"
"""Our own format promises that a message without an id is a new one each time."""


def pack(message: Message, nonce: bytes, keywords: Collection[str], inline_max: int) -> Append:
    """The stored form of a message; `inline_max` is the largest inline media in base64 bytes."""
    message_id = message.message_id or _own_id(message)
    conversation, twin = message.conversation, message.conversation_alt
    inline = _inline(message.media)
    fits = len(inline) <= inline_max
    return Append(
        conversation=conversation,
        fingerprint=fingerprint_of(message.dedupe_id or message_id),
        nonce=nonce,
        payload=orjson.dumps(_fields(message, message_id, fits)),
        order_ms=_order(message.timestamp_ms),
        name=message.sender_name if not message.is_group else None,
        keyword=bool(keywords) and (message.text or "").strip().casefold() in keywords,
        twin=conversation._replace(peer=twin) if twin else None,
        media=inline.encode() if fits else b"",
        album=_album(message.extra),
    )


def pack_edit(edit: Edit) -> Change:
    """The stored form of an edit."""
    return Change(fingerprint_of(edit.target_id), _order(edit.timestamp_ms), orjson.dumps({"text": edit.text}))


def _own_id(message: Message) -> str:
    """An id for a message without one: of its content where a gateway may send it again, else a new one each time."""
    if message.timestamp_ms is None or message.conversation.gateway == ALWAYS_NEW:
        return f"own-{uuid.uuid4().hex}"
    content = orjson.dumps([message.timestamp_ms, message.kind, message.text, message.media, message.extra])
    return f"own-{hashlib.blake2b(content, digest_size=12).hexdigest()}"


def _fields(message: Message, message_id: str, inline_fits: bool) -> dict[str, Any]:
    fields = {
        "message_id": message_id,
        "timestamp_ms": message.timestamp_ms,
        "kind": message.kind,
        "text": message.text,
        "media": _media(message.media, inline_fits) if message.media else None,
        "sender_name": message.sender_name,
        **message.extra,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _inline(media: dict[str, Any] | None) -> str:
    return media.get("base64") or "" if media else ""


def _media(media: dict[str, Any], inline_fits: bool) -> dict[str, Any]:
    """Inline media lies beside the buffer and is put back into the body; larger than allowed, it is `omitted`."""
    if "base64" not in media:
        return media
    kept = {name: value for name, value in media.items() if name != "base64"}
    return kept if inline_fits else kept | {"omitted": True}


def _album(extra: dict[str, Any]) -> bytes:
    album_id = extra.get("album_id")
    return fingerprint_of(str(album_id))[:4] if album_id else bytes(4)


def _order(timestamp_ms: int | None) -> int | None:
    """Timestamps outside 13 digits would not sort; such a message is ordered by its receipt."""
    return timestamp_ms if timestamp_ms is not None and 0 <= timestamp_ms < 10**13 else None
