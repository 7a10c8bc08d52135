"""What is known of one contact's pauses, in a few bytes beside the conversation, and the window made of it."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from operator import mul
from typing import NamedTuple

from buffer.figures import share_of_bucket_above
from buffer.window_policy import TURN_GAP_MS, AutoPolicy, Gaps, Window, channel_window, gaps_before, gaps_beyond

CLASS_BOUNDS_MS = (2_000, 5_000, 8_000, 12_000, 20_000, TURN_GAP_MS)
"""The upper bounds of the classes of gaps. One class more counts the messages that were the last of their turn."""

CLASSES = len(CLASS_BOUNDS_MS) + 1
NO_MORE = CLASSES - 1
FIRST_LOWER_MS = 250

COUNT_MAX = 255
"""All counts are halved before one would be more, so that old habits fade."""

CONTACT_PSEUDO = 20
"""Messages of the channel that a contact's own ones are blended with. 20 is from docs/the-wait.md."""

CONTACT_STEP_MS = 1_000
"""The windows of contacts are this apart: what is known of one person is no finer."""

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
    for gap_ms in gaps_before(previous_last_ms, received_ms, previous_acked_ms):
        if gap_ms is None:
            continue
        one = bisect_left(CLASS_BOUNDS_MS, gap_ms)
        if counts[one] >= COUNT_MAX:
            counts = [count // 2 for count in counts]
        counts[one] += 1
    return Habits(tuple(counts), habits.window_ms)


def contact_window(habits: Habits, gaps: Gaps | None, policy: AutoPolicy) -> Window:
    """Return the window at which this contact's waiting and premature answers together cost least.

    The price of a premature answer is the one at which the channel's window is right for the channel. The contact's
    counts are blended with CONTACT_PSEUDO messages of the channel. Without any, or where the channel has no window of
    its own yet, it is the channel's window.
    """
    channel = channel_window(gaps, policy)
    if gaps is None or channel.why != "auto_channel" or not any(habits.counts):
        return channel
    view = channel_view(gaps, policy, channel.window_ms)
    turns, gap_counts = view.turns + habits.counts[NO_MORE], habits.counts[:NO_MORE]

    def cost(choice: Choice) -> float:
        own: float = sum(map(mul, gap_counts, choice.class_shares))
        return choice.window_ms * turns + view.price_ms * (choice.channel_gaps + own)

    return Window(min(view.choices, key=cost).window_ms, "auto_contact")


class Choice(NamedTuple):
    """A window, the gaps of CONTACT_PSEUDO messages of the channel that are longer, and the share of each class."""

    window_ms: int
    channel_gaps: float
    class_shares: tuple[float, ...]


class ChannelView(NamedTuple):
    """What a contact's window needs of the channel: the price of a premature answer, turns among the messages."""

    price_ms: float
    turns: float
    choices: tuple[Choice, ...]


@lru_cache(maxsize=1024)
def channel_view(gaps: Gaps, policy: AutoPolicy, window_ms: int) -> ChannelView:
    """Return the channel as contacts see it, `window_ms` being its window."""
    pseudo = CONTACT_PSEUDO / (gaps.turns + gaps_beyond(gaps, 0))
    windows = (*range(policy.min_ms, policy.max_ms, CONTACT_STEP_MS), policy.max_ms)
    limits = [(one, one + policy.take_back_ms) for one in windows]
    choices = tuple(Choice(one, pseudo * gaps_beyond(gaps, limit), class_shares(limit)) for one, limit in limits)
    return ChannelView(price_ms(gaps, window_ms + policy.take_back_ms), pseudo * gaps.turns, choices)


def price_ms(gaps: Gaps, limit_ms: int) -> float:
    """Return the waiting, in ms, that one premature answer is worth if this limit is right for these gaps.

    It is the highest price at which it does not pay to wait any longer than the limit.
    """
    here, longer_ms = gaps_beyond(gaps, limit_ms), range(limit_ms + CONTACT_STEP_MS, TURN_GAP_MS, CONTACT_STEP_MS)
    return min(
        (gaps.turns * (one - limit_ms) / max(here - gaps_beyond(gaps, one), 1.0) for one in longer_ms), default=0.0
    )


def class_shares(limit_ms: float) -> tuple[float, ...]:
    """Return which share of each class of gaps is longer than a limit."""
    bounds_ms = (FIRST_LOWER_MS, *CLASS_BOUNDS_MS)
    return tuple(share_of_bucket_above(lower_ms, upper_ms, limit_ms) for lower_ms, upper_ms in pairwise(bounds_ms))
