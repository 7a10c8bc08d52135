"""What is known of one contact's pauses, in a few bytes beside the conversation, and the window made of it."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from buffer.figures import share_of_bucket_above
from buffer.window_policy import (
    TURN_GAP_MS,
    AutoPolicy,
    Gaps,
    Window,
    channel_window,
    gap_tails,
    gaps_of_turns,
    shortest,
    split_share,
    windows_ms,
)

CLASS_BOUNDS_MS = (2_000, 5_000, 8_000, 12_000, 20_000, TURN_GAP_MS)
"""The upper bounds of the classes of gaps. One class more counts the messages that were the last of their turn."""

CLASSES = len(CLASS_BOUNDS_MS) + 1
NO_MORE = CLASSES - 1
FIRST_LOWER_MS = 250

COUNT_MAX = 255
"""All counts are halved before one would be more, so that old habits fade."""

CONTACT_PSEUDO = 20
"""Messages of the channel that a contact's own ones are blended with. 20 is from docs/the-wait.md."""

READ_MS = 3_000
"""Whoever writes later than this after an answer has read it: the turn before is over. burst.lua has the same."""

PACKED = struct.Struct(">7BH")
HABITS_SIZE = PACKED.size
WINDOW_UNIT_MS = 10


class Habits(NamedTuple):
    """How often each class of gap followed a message of the contact, and the contact's own window (0: none)."""

    counts: tuple[int, ...] = (0,) * CLASSES
    window_ms: int = 0


def pack_habits(habits: Habits) -> bytes:
    """Return HABITS_SIZE bytes: the counts, and the window in units of 10 ms, at most 655 s."""
    return PACKED.pack(*habits.counts, min(habits.window_ms // WINDOW_UNIT_MS, 0xFFFF))


def unpack_habits(packed: bytes) -> Habits:
    """Return the habits, none if the bytes have another length."""
    if len(packed) != HABITS_SIZE:
        return Habits()
    *counts, window = PACKED.unpack(packed)
    return Habits(tuple(counts), window * WINDOW_UNIT_MS)


def habits_after(
    habits: Habits, previous_last_ms: int | None, received_ms: Sequence[int], previous_acked_ms: int | None = None
) -> Habits:
    """Return the habits with the gaps of a batch added, the window unchanged.

    `previous_last_ms` is the last message of the batch before (None: not known, its gap is not counted), and
    `previous_acked_ms` when that batch was answered: a gap over a read answer was the end of a turn.
    """
    counts = list(habits.counts)
    for one in _classes(previous_last_ms, received_ms, previous_acked_ms):
        if counts[one] >= COUNT_MAX:
            counts = [count // 2 for count in counts]
        counts[one] += 1
    return Habits(tuple(counts), habits.window_ms)


def _classes(previous_ms: int | None, received_ms: Sequence[int], acked_ms: int | None) -> Iterator[int]:
    for at_ms in received_ms:
        if previous_ms is not None:
            has_read = acked_ms is not None and at_ms - acked_ms > READ_MS
            yield NO_MORE if has_read else class_of(at_ms - previous_ms)
        previous_ms, acked_ms = at_ms, None


def class_of(gap_ms: int) -> int:
    """Return the class of a gap, NO_MORE for one that ends a turn."""
    return bisect_left(CLASS_BOUNDS_MS, gap_ms)


def contact_window(habits: Habits, gaps: Gaps | None, policy: AutoPolicy) -> Window:
    """Return the shortest window that splits no more of this contact's turns than the policy's target.

    The contact's counts are blended with CONTACT_PSEUDO messages of the channel. Without any, or where the channel
    has no window of its own yet, it is the channel's window.
    """
    channel = channel_window(gaps, policy)
    if gaps is None or channel.why != "auto_channel" or not any(habits.counts):
        return channel
    pseudo = CONTACT_PSEUDO / (gaps.turns + gaps_of_turns(gaps.counts))
    turns = pseudo * gaps.turns + habits.counts[NO_MORE]
    tails, shares = gap_tails(gaps.counts, policy.min_ms, policy.max_ms), class_tails(policy.min_ms, policy.max_ms)

    def split_share_of(at: int) -> float:
        own = sum(count * share for count, share in zip(habits.counts, shares[at], strict=False))
        return split_share(pseudo * tails[at] + own, turns)

    return Window(shortest(policy, split_share_of), "auto_contact")


@lru_cache(maxsize=64)
def class_tails(min_ms: int, max_ms: int) -> tuple[tuple[float, ...], ...]:
    """Return, for each of `windows_ms`, which share of each class of gaps is longer."""
    classes = list(zip((FIRST_LOWER_MS, *CLASS_BOUNDS_MS), CLASS_BOUNDS_MS, strict=False))
    return tuple(
        tuple(share_of_bucket_above(lower_ms, upper_ms, window_ms) for lower_ms, upper_ms in classes)
        for window_ms in windows_ms(min_ms, max_ms)
    )
