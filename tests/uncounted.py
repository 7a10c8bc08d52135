"""The key `uncounted`, as tests read it. buffer/lua/include/fold.lua has the layout."""

from __future__ import annotations

from collections import Counter

REFUSED = {24: "duplicate", 25: "discarded", 26: "stale", 27: "broken", 28: "full"}
ALONE = 30
GAP_BUCKETS = 24
READ_MAX = 20


def read_uncounted(runs: bytes) -> dict[str, Counter[str]]:
    """Return the counts of each channel, as a fold adds them to the fields of its tally."""
    channels: dict[str, Counter[str]] = {}
    while runs:
        end = 3 + int.from_bytes(runs[:3])
        size = int.from_bytes(runs[end : end + 2])
        counts = channels.setdefault(runs[3:end].decode(), Counter())
        for code in runs[end + 2 : end + 2 + size]:
            counts.update(fields_of(code))
        runs = runs[end + 2 + size :]
    return channels


def fields_of(code: int) -> list[str]:
    """Return the fields that one message counts in."""
    kind = code % 32
    if kind in REFUSED:
        return [f"messages_{REFUSED[kind]}"]
    fields = ["messages_accepted"]
    is_silent = code & 32
    is_read = is_silent and kind <= READ_MAX
    fields += [f"gap:read:{kind}" if is_read else f"gap:{kind}"] if kind < GAP_BUCKETS else []
    if is_silent:
        fields += ["gap:turns"] if code & 64 else ["turns", "gap:turns"]
    elif code & 64:
        fields += ["bursts_split"]
    return fields + (["turns_split"] if code & 128 else [])
