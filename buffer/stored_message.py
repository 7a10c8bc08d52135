"""Encodes a message for the buffer, and decodes it from a batch.

A stored message is one entry of the lists `buffer` and `batch`. Numbers are unsigned and big-endian. The same table
is in lua/include/entry.lua:

  offset  size  field
       0     6  order_ms     orders the messages of a batch: the gateway's timestamp (flag TIMED), else received_ms
       6     6  received_ms  the time of its append
      12     1  flags        1 KEYWORD: it closes the burst · 2 MEDIA: key `media` holds its inline media · 4 TIMED
      13     4  album        messages of one album have the same four bytes; zeros = none
      17     8  fingerprint  of its message id
      25     n  payload      JSON without a raw line feed
and after an edit:
  25 + n     1  a line feed
  26 + n    13  edited_ms    decimal digits
  39 + n     …  patch        a JSON object; its fields replace those of the payload

A record is one message of an append call. The same table is in lua/include/record.lua:

  offset  size  field
       0    16  hash of the conversation
      16    16  hash of the alias, blanks = none
      32     4  nonce of the request
      36     6  order_ms, if the flag TIMED is set
      42    12  id: fingerprint (8) · tag of the channel (4), zeros unless message ids are unique in it
      54     6  window_ms of the message
      60     1  why it is that (include/prelude.lua has the numbers)
      61    16  lengths of peer, sender's name, inline media, and gateway with its colon, 4 bytes each
      77     3  length of gateway, colon and channel
      80     …  gateway and a colon · channel · peer · sender's name · inline media · body: flags, album, fingerprint
                and payload, as in a stored message (include/entry.lua)
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Collection, Sequence
from typing import Any
from zlib import crc32

import orjson

from buffer.keys import Ref, fingerprint_of
from buffer.models import NO_ALBUM, PLAIN_KIND, Append, Change, Conversation, Edit, Message, StoredMessage
from buffer.phone_numbers import WHATSAPP
from config.keywords import can_be_keyword, keyword_key

ENTRY_HEADER = struct.Struct(">HIHIB4s8s")
"""The fields before the payload. `struct` has no integer of 6 bytes: a time is packed as its high 2 and low 4 bytes."""

ENTRY_HEADER_SIZE = ENTRY_HEADER.size

KEYWORD, MEDIA, TIMED = 1, 2, 4
"""The flags."""

RECEIVED_AT, RECEIVED_HIGHEST = 6, 6
"""The first byte of received_ms, and its highest value, in the year 2213: higher ones are garbage."""

EDITED_MS_SIZE = 13

TRACE = "trace"
"""The field of a payload that holds the trace context of the request, if that brought one. The agent never gets it."""

RECORD_HEADER = struct.Struct(">16s16s4sHI8sI7sIIIIBH")
"""The fields of a record before the texts."""

BODY_HEADER = struct.Struct(">B4s8s")
"""The fields of a record's body before the payload."""

NO_ALIAS = b" " * 16

NEVER_REDELIVERS = "generic"
"""The gateway of our own format: a message without an id is a new one each time."""


def encode_message(
    message: Message, nonce: bytes, keywords: Collection[str], inline_max: int, trace: str | None = None
) -> Append:
    """Encode a message for `Store.append`. Inline media of more than `inline_max` bytes (base64) is left out.

    `trace` is the trace context of the request (config/trace_context.py).
    """
    message_id = message.message_id or _generated_id(message)
    conversation, alias = message.conversation, message.conversation_alias
    order_ms = _sortable_ms(message.timestamp_ms)
    media, inline = _split_inline_media(message.media, inline_max) if message.media else (None, b"")
    fields = _payload_fields(message, message_id, order_ms, media)
    if trace is not None:
        fields[TRACE] = trace
    return Append(
        conversation,
        fingerprint_of(message.dedupe_id or message_id),
        nonce,
        orjson.dumps(fields),
        order_ms,
        None if message.is_group else message.sender_name,
        bool(keywords) and can_be_keyword(text := message.text or "") and keyword_key(text) in keywords,
        Conversation(conversation.gateway, conversation.channel, alias) if alias else None,
        inline,
        _album_bytes(message.extra) if message.extra else NO_ALBUM,
        conversation.gateway in WHATSAPP and not message.is_group and message.message_id is not None,
    )


def encode_edit(edit: Edit) -> Change:
    """Encode an edit for `Store.edit`."""
    return Change(fingerprint_of(edit.target_id), _sortable_ms(edit.timestamp_ms), orjson.dumps({"text": edit.text}))


def encode_record(ref: Ref, alias: Ref | None, message: Append, window: bytes) -> bytes:
    """Encode a message as the record of an append call. `window` is that of its route, if it has none of its own."""
    conversation, fingerprint, nonce, payload, order_ms, name, keyword, _, media, album, is_unique, own_window = message
    gateway, channel, peer = map(str.encode, conversation)
    sender = name.encode() if name else b""
    flags = (KEYWORD if keyword else 0) | (MEDIA if media else 0) | (0 if order_ms is None else TIMED)
    order_ms = order_ms or 0
    header = RECORD_HEADER.pack(
        ref.hash.encode(),
        NO_ALIAS if alias is None else alias.hash.encode(),
        nonce,
        order_ms >> 32,
        order_ms & 0xFFFF_FFFF,
        fingerprint,
        crc32(channel, crc32(gateway)) | 1 if is_unique else 0,
        own_window or window,
        len(peer),
        len(sender),
        len(media),
        len(gateway) + 1,
        0,
        len(gateway) + 1 + len(channel),
    )
    body = BODY_HEADER.pack(flags, album, fingerprint)
    return b"".join((header, gateway, b":", channel, peer, sender, media, body, payload))


def decode_messages(entries: Sequence[bytes], media: Sequence[bytes]) -> tuple[StoredMessage, ...]:
    """Decode the entries of a batch, each with its inline media (base64, empty without any).

    Entries that cannot be read are left out.
    """
    decoded = (_decode(entry, inline) for entry, inline in zip(entries, media, strict=True))
    return tuple([message for message in decoded if message is not None])


def _decode(entry: bytes, media: bytes) -> StoredMessage | None:
    """Return the message of an entry, or None if its header, its payload or its edit cannot be read."""
    if len(entry) <= ENTRY_HEADER_SIZE or entry[RECEIVED_AT] > RECEIVED_HIGHEST:
        return None
    order_high, order_low, received_high, received_low, flags, _, _ = ENTRY_HEADER.unpack_from(entry)
    payload, _, edited = entry[ENTRY_HEADER_SIZE:].partition(b"\n")
    try:
        fields = orjson.loads(payload)
        edit = orjson.loads(patch) if (patch := edited[EDITED_MS_SIZE:]) else None
    except orjson.JSONDecodeError:
        return None
    if not _is_message(fields) or (edit is not None and not _is_message(edit)):
        return None
    order_ms = (order_high << 32) + order_low if flags & TIMED else None
    trace = fields.pop(TRACE, None)
    return StoredMessage((received_high << 32) + received_low, fields, edit, media or None, order_ms, trace)


def _is_message(fields: Any) -> bool:
    """Return True for an object whose text and media, if it has any, are such."""
    return (
        isinstance(fields, dict)
        and isinstance(fields.get("text") or "", str)
        and isinstance(fields.get("media") or {}, dict)
    )


def _generated_id(message: Message) -> str:
    """Return an id for a message without one.

    A gateway may send the message again, so the id is a hash of its content. Without a timestamp, equal messages would
    get the same id: then it is random.
    """
    if message.timestamp_ms is None or message.conversation.gateway == NEVER_REDELIVERS:
        return f"own-{uuid.uuid4().hex}"
    content = orjson.dumps([message.timestamp_ms, message.kind, message.text, message.media, message.extra])
    return f"own-{hashlib.blake2b(content, digest_size=12).hexdigest()}"


def _payload_fields(
    message: Message, message_id: str, order_ms: int | None, media: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the fields of the payload: those of the outbound message that Redis has nowhere else.

    Left out are kind `text` and a timestamp that is stored as order_ms.
    """
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
    if message.return_address:
        fields["return_address"] = message.return_address
    return fields


def _split_inline_media(media: dict[str, Any], inline_max: int) -> tuple[dict[str, Any], bytes]:
    """Split media into the fields of the payload and the inline bytes (base64), which Redis stores in key `media`.

    Inline media of more than `inline_max` bytes is dropped and marked `omitted`.
    """
    if "base64" not in media:
        return media, b""
    kept = {name: value for name, value in media.items() if name != "base64"}
    inline = (media["base64"] or "").encode()
    return (kept, inline) if len(inline) <= inline_max else (kept | {"omitted": True}, b"")


def _album_bytes(extra: dict[str, Any]) -> bytes:
    album_id = extra.get("album_id")
    return fingerprint_of(str(album_id))[:4] if album_id else NO_ALBUM


def _sortable_ms(timestamp_ms: int | None) -> int | None:
    """Return the timestamp, or None if it has more than 13 digits: then the time of receipt orders the message."""
    return timestamp_ms if timestamp_ms is not None and 0 <= timestamp_ms < 10**13 else None
