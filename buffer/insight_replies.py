"""The meaning of what buffer/insights.py reads: tallies, records of the history, cursors. No function here does I/O."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buffer.insight_models import BOUNDS_MS, CHANNEL_COUNTERS, NO_CURSOR, ChannelTotals, FlushRecord, Histogram
from buffer.models import Conversation
from buffer.windows import HELD, read_why

Fields = Mapping[bytes, bytes]

SPAN = struct.Struct(">HIHIIIIBB")
"""A sealed span before its arrivals, as in lua/include/seal.lua. A time is packed as its high 2 and low 4 bytes."""

ARRIVAL_SIZE = 3


class Span(NamedTuple):
    """When the messages of a batch came, when it was due and claimed, and the window of its burst."""

    last_ms: int | None = None
    opened_ms: int | None = None
    due_ms: int | None = None
    claimed_ms: int | None = None
    window_ms: int | None = None
    why: str = ""
    is_held: bool = False
    arrivals_ms: tuple[int, ...] = ()


def read_totals(channel: bytes, tally: Fields) -> ChannelTotals:
    """Return the totals of a channel from its member of the key `channels` and its tally."""
    gateway, name = read_channel(channel)
    counters = {counter: _whole(tally[key]) for counter in CHANNEL_COUNTERS if (key := counter.encode()) in tally}
    histograms = {histogram: _histogram(histogram, tally) for histogram in BOUNDS_MS}
    gap_turns = _whole(tally.get(b"gap:turns", b"0"))
    return ChannelTotals(gateway, name, counters, histograms, _today(counters, tally), gap_turns)


def read_channel(member: bytes) -> tuple[str, str]:
    """Return the gateway and the name of a channel from its member of the key `channels`."""
    gateway, _, name = member.decode("utf-8", "replace").partition(":")
    return gateway, name


def _histogram(name: str, tally: Fields) -> Histogram:
    bounds = BOUNDS_MS[name]
    counts = tuple(_whole(tally.get(f"{name}:{i}".encode(), b"0")) for i in range(len(bounds)))
    return Histogram(bounds, counts, _whole(tally.get(f"{name}:sum".encode(), b"0")))


def _today(counters: Mapping[str, int], tally: Fields) -> dict[str, int]:
    """Return what was counted since the start of the day, which buffer/lua/include/age.lua notes."""
    flushes = sum(amount for name, amount in counters.items() if is_flush_reason(name))
    return {
        "messages": counters.get("messages_accepted", 0) - _whole(tally.get(b"day_messages", b"0")),
        "flushes": flushes - _whole(tally.get(b"day_flushes", b"0")),
    }


def is_flush_reason(counter: str) -> bool:
    """Return True for the counters of flushes by reason: each flush is in exactly one."""
    return counter.startswith("flushes_") and counter != "flushes_single"


def read_record(flat: Fields) -> FlushRecord:
    """Return a record of the history. One that no script has written lacks what it lacks."""
    text = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in flat.items()}

    def number(name: str) -> int | None:
        return _whole(flat[name.encode()]) if text.get(name) else None

    span = read_span(flat.get(b"span", b""))
    return FlushRecord(
        ref=text.get("ref", ""),
        conversation=Conversation(text.get("gateway", ""), text.get("channel", ""), text.get("peer", "")),
        flush_id=text.get("flush_id", ""),
        reason=text.get("reason", ""),
        outcome=text.get("outcome", ""),
        cause=text.get("cause", ""),
        messages=number("messages") or 0,
        opened_ms=span.opened_ms or number("opened_ms"),
        last_ms=span.last_ms,
        due_ms=span.due_ms,
        closed_ms=number("closed_ms"),
        claimed_ms=span.claimed_ms,
        window_ms=span.window_ms,
        window_why=span.why,
        is_held=span.is_held,
        answered_ms=_whole(flat.get(b"answered", b"").partition(b" ")[0]) or None,
        ended_ms=number("superseded_ms") or number("ended_ms") or 0,
        attempts=number("attempts") or 0,
        parts=number("parts") or 0,
        next_part=number("next_part") or 0,
        doubts=number("doubts") or 0,
        arrivals_ms=span.arrivals_ms,
        error=text.get("error", ""),
        part=text.get("part", ""),
        successor=text.get("successor", ""),
    )


def read_span(span: bytes) -> Span:
    """Return the times of a batch, all None for bytes that no script wrote. lua/include/seal.lua has the layout."""
    if len(span) < SPAN.size:
        return Span()
    last_high, last, opened_high, opened, due, claimed, window_ms, why, flags = SPAN.unpack_from(span)
    opened_ms = (opened_high << 32) + opened
    ends = range(SPAN.size + ARRIVAL_SIZE, len(span) + 1, ARRIVAL_SIZE)
    arrivals = ((int.from_bytes(span[end - ARRIVAL_SIZE : end]) - opened_ms) % 256**ARRIVAL_SIZE for end in ends)
    possible = tuple(offset for offset in arrivals if offset <= claimed)
    moments = ((last_high << 32) + last, opened_ms, opened_ms + due, opened_ms + claimed)
    return Span(*moments, window_ms, read_why(why), bool(flags & HELD), possible)


def write_cursor(numbers: Sequence[int]) -> str:
    """Return a cursor."""
    return ".".join(map(str, numbers))


def read_cursor(cursor: str, count: int) -> list[int]:
    """Return the `count` numbers of a cursor. Raises ValueError for a text that is no cursor of that kind."""
    parts = cursor.split(".")
    if len(parts) != count or not all(part.isascii() and part.isdigit() and len(part) <= 20 for part in parts):
        raise ValueError(NO_CURSOR)
    return [int(part) for part in parts]


def _whole(value: bytes) -> int:
    """Return a number, 0 for bytes that are none."""
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return 0
