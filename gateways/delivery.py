"""Reads what a gateway reports about a message that was sent: taken by WhatsApp, or failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from buffer.models import DeliveryState, DeliveryStatus, Event
from gateways.fields import text_of
from gateways.ignored import ignored
from gateways.masking import masked_reason

STATES: Mapping[str, DeliveryState] = {
    "error": "failed",
    "failed": "failed",
    "undelivered": "failed",
    "sent": "sent",
    "server": "sent",
    "server_ack": "sent",
    "device": "sent",
    "delivered": "sent",
    "delivery_ack": "sent",
    "received": "sent",
    "read": "sent",
    "played": "sent",
}
"""The words of the gateways of WhatsApp, in lower case. `pending` and all others say nothing."""


def report(gateway: str, channel: str, message_id: str | None, status: Any, reason: str = "") -> Event:
    """Return the report on a message, or why the status says nothing. `reason` is the gateway's own text."""
    word = status.lower() if isinstance(status, str) else ""
    state = STATES.get(word)
    if state is None or not message_id or not channel:
        return ignored("unknown_event")
    words = masked_reason(reason, ()) or f"the gateway reports the status {word}"
    return DeliveryStatus(gateway, channel, message_id, state, reason=words if state == "failed" else "")


def marked(event: Event, own_mark: str | None) -> Event:
    """Return a report together with the mark of ours that came with it. Anything else stays as it is."""
    return replace(event, own_mark=own_mark or None) if isinstance(event, DeliveryStatus) else event


def numbered(status: Any, words: tuple[str, ...], first: int) -> Any:
    """Return the word for a numbered status, and any other status unchanged. `first` is the number of the first."""
    written = text_of(status) or ""
    number = int(written) - first if written.lstrip("-").isdecimal() and len(written) < 4 else None
    return words[number] if number is not None and 0 <= number < len(words) else status
