"""The hash that decides about a conversation, as tests read it; the layout stands in lua/include/prelude.lua."""

from __future__ import annotations

import struct
from collections.abc import Mapping

WINDOW = struct.Struct(">HIHIIIHIIBB")


def read_conv(stored: Mapping[bytes, bytes]) -> dict[str, str]:
    """The fields of a conversation, those of its open burst among them."""
    fields = {name.decode(): value.decode("utf-8", "replace") for name, value in stored.items() if name != b"window"}
    window = stored.get(b"window")
    return fields | _read_window(window) if window else fields


def _read_window(window: bytes) -> dict[str, str]:
    opened_high, opened, deadline_high, deadline, size, depth, last_high, last, *how = WINDOW.unpack_from(window)
    fields = {
        "opened_ms": str((opened_high << 32) + opened),
        "deadline_ms": str((deadline_high << 32) + deadline),
        "bytes": str(size),
        "depth": str(depth),
        "last_ms": str((last_high << 32) + last),
        **dict(zip(("window_ms", "why", "flags"), map(str, how), strict=True)),
    }
    fired, zero, rules = window[WINDOW.size :].partition(b"\0")
    fields |= {"fired": fired.decode()} if fired else {}
    return fields | {"rules": rules.hex()} if zero else fields


def pack_window(opened_ms: int, deadline_ms: int, size: int, depth: int, window_ms: int = 8_000) -> bytes:
    """The field of an open burst that has not fired, and whose last message opened it."""
    opened = (opened_ms >> 32, opened_ms & 0xFFFF_FFFF)
    return WINDOW.pack(*opened, deadline_ms >> 32, deadline_ms & 0xFFFF_FFFF, size, depth, *opened, window_ms, 1, 0)
