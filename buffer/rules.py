"""The rules of a route that the scripts need: as arguments of an append call, and packed for the claim."""

from __future__ import annotations

import struct
from typing import NamedTuple

from buffer.windows import pack_window
from config.setting_types import milliseconds
from config.settings import Settings

IDS_MAX = 50_000
"""Message ids in each of the two generations of a partition's memory: together up to 9 MB."""

PACKED = struct.Struct(">BHIIIB")
"""A zero byte, then the numbers of lua/include/rules.lua. A time of 6 bytes is packed as its high 2 and low 4 bytes."""

SPECIAL = struct.Struct(">BBIIHIHI")
"""The first fields of lua/include/special.lua. A time is packed in the same way."""

NO_WINDOW_MS = 2**48 - 1
"""Stands for no other window than that of the message itself."""

UINT32_MAX = 2**32 - 1


class AppendRules(NamedTuple):
    """The arguments of append.lua between the partition and the messages, in their order; before them the window.

    `window` is that of messages without one of their own, as their records have it (buffer/windows.py).
    """

    window: bytes
    max_wait_ms: int
    max_messages: int
    max_bytes: int
    dedupe_ttl_ms: int
    special: bytes
    max_age_ms: int
    ids_max: int
    max_pending: int


def append_rules(settings: Settings, base: Settings | None = None) -> AppendRules:
    """Return the rules of a route with these settings. `base` are those that the claim has without a word of the burst.

    They are packed only if the two differ in what the claim needs.
    """
    packed = packed_rules(settings)
    is_carried = base is not None and packed != packed_rules(base)
    return AppendRules(
        pack_window(settings.window_ms, "auto_start" if settings.is_auto else "fixed"),
        settings.max_wait_ms,
        settings.message_buffer_max_messages,
        settings.message_buffer_max_bytes,
        settings.dedupe_ttl_ms,
        _special(settings, packed if is_carried else b""),
        settings.max_age_ms,
        IDS_MAX,
        settings.message_buffer_max_pending,
    )


def _special(settings: Settings, carried: bytes) -> bytes:
    """Return what few routes have, in the layout of lua/include/special.lua. Empty for most, which costs nothing."""
    is_single = not settings.message_buffer_enabled
    restarts_max = settings.restarts
    first_ms = NO_WINDOW_MS if settings.message_buffer_first == "normal" else settings.first_ms
    typing_ms = NO_WINDOW_MS if settings.typing_window_ms is None else settings.typing_window_ms
    if not (
        carried
        or is_single
        or settings.is_auto
        or restarts_max
        or first_ms != NO_WINDOW_MS
        or typing_ms != NO_WINDOW_MS
    ):
        return b""
    bounds = (settings.auto_min, settings.auto_max)
    own_ms = [min(milliseconds(one), UINT32_MAX) for one in bounds] if settings.is_auto else (0, 0)
    times = (first_ms >> 32, first_ms & 0xFFFF_FFFF, typing_ms >> 32, typing_ms & 0xFFFF_FFFF)
    return SPECIAL.pack(is_single, restarts_max, *own_ms, *times) + carried


def packed_rules(settings: Settings) -> bytes:
    """Return what a claim needs of the settings, as the open burst carries it."""
    max_wait_ms = settings.max_wait_ms
    numbers = PACKED.pack(
        0,
        max_wait_ms >> 32,
        max_wait_ms & 0xFFFF_FFFF,
        claim_max_messages(settings),
        min(settings.message_buffer_max_bytes, UINT32_MAX),
        not settings.message_buffer_enabled,
    )
    return numbers + settings.message_buffer_separator.encode()


def claim_max_messages(settings: Settings) -> int:
    """Return how many messages a batch holds at most: one if every message is its own flush."""
    return settings.message_buffer_max_messages if settings.message_buffer_enabled else 1
