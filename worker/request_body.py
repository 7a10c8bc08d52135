"""The body of a flush: a pure function of the sealed batch, so that every attempt carries the same bytes.

Whatever is changed here changes the bytes of batches between two attempts: the test with fixed bytes says so.
"""

from __future__ import annotations

from typing import Any

import orjson

from buffer.models import PLAIN_KIND, Batch, StoredMessage

ALWAYS = ("message_id", "timestamp_ms", "received_ms", "kind", "text", "media", "sender_name")
"""Fields every message has, null when unknown; others only when the gateway gave them."""


def render_burst(batch: Batch) -> bytes:
    """The JSON body of design §5 as UTF-8 bytes."""
    messages = [_message(stored) for stored in batch.messages]
    gateway, channel, peer = batch.conversation
    return orjson.dumps(
        {
            "flush_id": batch.flush_id,
            "reason": batch.reason.value,
            "conversation": {"gateway": gateway, "channel": channel, "id": peer, "name": batch.name},
            "text": batch.separator.join(message["text"] for message in messages if message["text"]),
            "messages": messages,
            "opened_ms": batch.opened_ms,
            "last_ms": batch.last_ms,
            "closed_ms": batch.closed_ms,
        }
    )


def _message(stored: StoredMessage) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(stored.payload)
    fields["received_ms"] = stored.received_ms
    fields.setdefault("kind", PLAIN_KIND)
    fields.setdefault("timestamp_ms", stored.order_ms)
    if stored.edit is not None:
        _apply(orjson.loads(stored.edit), fields)
    if stored.media is not None:
        fields["media"]["base64"] = stored.media.decode()
    return {name: fields.pop(name, None) for name in ALWAYS} | fields


def _apply(edit: dict[str, Any], fields: dict[str, Any]) -> None:
    """Replace what the person changed: the text, and the caption that it is where there is media."""
    fields |= edit
    media = fields.get("media")
    if media and media.get("caption"):
        media["caption"] = fields["text"]
