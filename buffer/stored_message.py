"""A message on its way into the buffer: its identity for the dedupe memory and its stored form."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection
from typing import Any

import orjson

from buffer.keys import fingerprint_of
from buffer.models import NO_ALBUM, PLAIN_KIND, Append, Change, Conversation, Edit, Message

ALWAYS_NEW = "generic"
"""Our own format promises that a message without an id is a new one each time."""


def pack(message: Message, nonce: bytes, keywords: Collection[str], inline_max: int) -> Append:
    """The stored form of a message; `inline_max` is the largest inline media in base64 bytes."""
    message_id = message.message_id or _own_id(message)
    conversation, alias = message.conversation, message.conversation_alias
    order_ms = _order(message.timestamp_ms)
    media, inline = _parted(message.media, inline_max) if message.media else (None, b"")
    return Append(
        conversation,
        fingerprint_of(message.dedupe_id or message_id),
        nonce,
        orjson.dumps(_fields(message, message_id, order_ms, media)),
        order_ms,
        None if message.is_group else message.sender_name,
        bool(keywords) and (message.text or "").strip().casefold() in keywords,
        Conversation(conversation.gateway, conversation.channel, alias) if alias else None,
        inline,
        _album(message.extra) if message.extra else NO_ALBUM,
    )


def encode_edit(edit: Edit) -> Change:
    """The stored form of an edit."""
    return Change(fingerprint_of(edit.target_id), _order(edit.timestamp_ms), orjson.dumps({"text": edit.text}))


def _own_id(message: Message) -> str:
    """An id for a message without one: of its content where a gateway may send it again, else a new one each time."""
    if message.timestamp_ms is None or message.conversation.gateway == ALWAYS_NEW:
        return f"own-{uuid.uuid4().hex}"
    content = orjson.dumps([message.timestamp_ms, message.kind, message.text, message.media, message.extra])
    return f"own-{hashlib.blake2b(content, digest_size=12).hexdigest()}"


def _fields(message: Message, message_id: str, order_ms: int | None, media: dict[str, Any] | None) -> dict[str, Any]:
    """What the conversation does not know; kind `text` and a time that decides the order are stored without words."""
    fields: dict[str, Any] = {"message_id": message_id}
    if order_ms is None and message.timestamp_ms is not None:
        fields["timestamp_ms"] = message.timestamp_ms
    if message.kind != PLAIN_KIND:
        fields["kind"] = message.kind
    if message.text is not None:
        fields["text"] = message.text
    if media is not None:
        fields["media"] = media
    if message.sender_name is not None:
        fields["sender_name"] = message.sender_name
    if message.extra:
        fields.update((name, value) for name, value in message.extra.items() if value is not None)
    return fields


def _parted(media: dict[str, Any], inline_max: int) -> tuple[dict[str, Any], bytes]:
    """Inline media lies beside the buffer and is put back into the body; larger than allowed, it is `omitted`."""
    if "base64" not in media:
        return media, b""
    kept = {name: value for name, value in media.items() if name != "base64"}
    inline = (media["base64"] or "").encode()
    return (kept, inline) if len(inline) <= inline_max else (kept | {"omitted": True}, b"")


def _album(extra: dict[str, Any]) -> bytes:
    album_id = extra.get("album_id")
    return fingerprint_of(str(album_id))[:4] if album_id else NO_ALBUM


def _order(timestamp_ms: int | None) -> int | None:
    """Timestamps outside 13 digits would not sort; such a message is ordered by its receipt."""
    return timestamp_ms if timestamp_ms is not None and 0 <= timestamp_ms < 10**13 else None
