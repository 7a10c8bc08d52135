"""What a presence event says: the person is typing, or has stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

PresenceKind = Literal["typing", "stopped"]

KIND_OF_STATE: Mapping[str, PresenceKind] = {
    "composing": "typing",
    "recording": "typing",
    "paused": "stopped",
    "available": "stopped",
    "unavailable": "stopped",
}
"""The states that the gateways know. Evolution before Go sends `available` where WhatsApp says `paused`."""
