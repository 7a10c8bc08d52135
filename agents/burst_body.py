"""Renders the request body of a flush. It depends on the sealed batch alone, so every attempt sends the same bytes.

A change in this file may change the bytes of a batch between two attempts. tests/unit/test_agents_burst_body.py
compares them with fixed bytes.
"""

from __future__ import annotations

from typing import Any

import orjson

from buffer.models import PLAIN_KIND, Batch, StoredMessage

ALWAYS = ("message_id", "timestamp_ms", "received_ms", "kind", "text", "media", "sender_name")
"""Fields that every message has, null if unknown. Other fields are present only if the gateway sent them."""


def render_burst(batch: Batch) -> bytes:
    """Return the JSON body (docs/invariants.md#body) as UTF-8 bytes."""
    messages = [message_fields(stored) for stored in batch.messages]
    gateway, channel, peer = batch.conversation
    body: dict[str, Any] = {
        "flush_id": batch.flush_id,
        "reason": batch.reason.value,
        "conversation": {"gateway": gateway, "channel": channel, "id": peer, "name": batch.name},
        "text": batch.separator.join(message["text"] for message in messages if message["text"]),
        "messages": messages,
        "opened_ms": batch.opened_ms,
        "last_ms": batch.last_ms,
        "closed_ms": batch.closed_ms,
    }
    if batch.supersedes:
        body["supersedes"] = batch.supersedes
    if batch.skipped:
        body["skipped"] = batch.skipped
    return orjson.dumps(body)


def message_fields(stored: StoredMessage) -> dict[str, Any]:
    """Return a message as the agent reads it, with its edit and its inline media."""
    fields: dict[str, Any] = {"kind": PLAIN_KIND, "timestamp_ms": stored.order_ms, **stored.fields}
    fields.pop("return_address", None)
    fields["received_ms"] = stored.received_ms
    if stored.edit is not None:
        _apply(stored.edit, fields)
    if stored.media is not None and isinstance(fields.get("media"), dict):
        fields["media"] = fields["media"] | {"base64": stored.media.decode()}
    return {name: fields.pop(name, None) for name in ALWAYS} | fields


def _apply(edit: dict[str, Any], fields: dict[str, Any]) -> None:
    """Apply an edit to the fields of its message. An edit of media with a caption replaces the caption too."""
    fields |= edit
    media = fields.get("media")
    if media and media.get("caption"):
        fields["media"] = media | {"caption": fields["text"]}
