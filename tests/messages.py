"""Messages for the tests of the buffer."""

from __future__ import annotations

import json
import uuid

from buffer.keys import fingerprint_of
from buffer.models import Append, Conversation


def message(
    message_id: str,
    to: Conversation,
    *,
    nonce: bytes | None = None,
    text: str = "oi",
    order_ms: int | None = None,
    name: str | None = None,
    keyword: bool = False,
    payload: bytes | None = None,
) -> Append:
    """One message on its way into the buffer, from a request of its own unless it is given a nonce."""
    return Append(
        conversation=to,
        fingerprint=fingerprint_of(message_id),
        nonce=nonce or uuid.uuid4().bytes[:4],
        payload=payload or json.dumps({"message_id": message_id, "kind": "text", "text": text}).encode(),
        order_ms=order_ms,
        name=name,
        keyword=keyword,
    )
