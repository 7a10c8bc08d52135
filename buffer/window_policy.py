"""The window that a channel finds for itself from the gaps between messages (`MESSAGE_BUFFER_TIMEOUT=auto`)."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from buffer.figures import share_of_bucket_above
from buffer.insight_models import BOUNDS_MS

AutoWhy = Literal["auto_start", "auto_channel", "auto_contact", "auto_explore", "auto_broken"]
"""Why a message of an auto route has its window. `auto_explore` is given by the caller of `explores`."""

TURN_GAP_MS = 60_000
"""A message that comes later than this after the one before begins a turn of its own."""

TURNS_MIN = 300
"""Turns from which on a channel's window is its own: with 100 it is noise (docs/the-wait.md)."""

EXPLORE_SHARE = 0.05
"""The share of the hours of conversations that keep the longest window, so that a channel sees its long gaps too."""

READ_MS = 3_000
"""Whoever writes later than this after an answer has read it: the turn before is over. append.lua has the same."""

STEP_MS = 100
"""Windows are multiples of this, or one of the two bounds."""

GAP_BOUNDS_MS = BOUNDS_MS["gap"]


class AutoPolicy(NamedTuple):
    """The bounds of the windows in ms, the share of turns that may be split, and the window without knowledge.

    `take_back_ms` is for how long after its call a batch can be taken back: what the agent usually takes where the
    route says `restart`, else 0. A gap that is longer than the window by less splits nothing.
    """

    min_ms: int
    max_ms: int
    split_target: float
    start_ms: int = 8_000
    take_back_ms: int = 0


class Gaps(NamedTuple):
    """What a channel has counted: gaps in the buckets of BOUNDS_MS["gap"], and the turns to which they belong.

    As they would be if the channel's own answers had ended no turn: buffer/censored_gaps.py. From the gaps that it sees
    a channel would take its answers for the ends of turns, and its window would shrink to `min_ms` (docs/the-wait.md).
    """

    counts: tuple[float, ...]
    turns: int


class Window(NamedTuple):
    """A window and why it is this one."""

    window_ms: int
    why: AutoWhy


def gaps_before(previous_ms: int | None, received_ms: Sequence[int], acked_ms: int | None) -> Iterator[float | None]:
    """Yield the gap before each message of a batch in ms, infinite if an answer was read since, None if not known.

    `previous_ms` is the last message of the batch before, `acked_ms` when that was answered; None if not known.
    """
    for at_ms in received_ms:
        has_read = acked_ms is not None and at_ms - acked_ms > READ_MS
        yield None if previous_ms is None else math.inf if has_read else at_ms - previous_ms
        previous_ms, acked_ms = at_ms, None


def channel_window(gaps: Gaps | None, policy: AutoPolicy) -> Window:
    """Return the shortest window that splits no more turns than the policy's target, as the gaps predict.

    None or counts that cannot be are `auto_broken`, fewer than TURNS_MIN turns `auto_start`: both get the start value.
    """
    start_ms = min(policy.max_ms, max(policy.min_ms, policy.start_ms))
    if gaps is None or not _is_sound(gaps):
        return Window(start_ms, "auto_broken")
    if gaps.turns < TURNS_MIN:
        return Window(start_ms, "auto_start")
    return Window(_shortest_ms(gaps, policy), "auto_channel")


def _is_sound(gaps: Gaps) -> bool:
    return len(gaps.counts) == len(GAP_BOUNDS_MS) and min(gaps.counts) >= 0 and gaps.turns >= 0


def split_share(premature: float, turns: float) -> float:
    """Return which share of the turns is split at least once, of the number of gaps that are longer than the window.

    It is exact where each message is followed by another with the same probability, whatever came before. Then the
    number of premature answers per turn is geometric: 1 of 1 + premature / turns turns stays whole.
    """
    return premature / (turns + premature) if premature else 0.0


@lru_cache(maxsize=1024)
def _shortest_ms(gaps: Gaps, policy: AutoPolicy) -> int:
    windows = range(policy.min_ms, policy.max_ms, STEP_MS)

    def is_enough(window_ms: int) -> bool:
        return split_share(gaps_beyond(gaps, window_ms + policy.take_back_ms), gaps.turns) <= policy.split_target

    at = bisect_left(windows, True, key=is_enough)
    return windows[at] if at < len(windows) else policy.max_ms


def gaps_beyond(gaps: Gaps, limit_ms: float) -> float:
    """Return how many gaps within turns are longer than a limit."""
    return max(0.0, _above(gaps.counts, limit_ms) - _above(gaps.counts, TURN_GAP_MS))


def gaps_between_turns(gaps: Gaps) -> float:
    """Return how many of the gaps are longer than a turn allows."""
    return _above(gaps.counts, TURN_GAP_MS)


def _above(counts: tuple[float, ...], limit_ms: float) -> float:
    at = bisect_left(GAP_BOUNDS_MS, limit_ms)
    if at == len(counts):
        return 0.0
    lower_ms = GAP_BOUNDS_MS[at - 1] if at else GAP_BOUNDS_MS[0] / 2
    return sum(counts[at + 1 :]) + counts[at] * share_of_bucket_above(lower_ms, GAP_BOUNDS_MS[at], limit_ms)


def explores(hash16: str, hour: int) -> bool:
    """Return whether a conversation keeps the longest window in this hour (hours since 1970).

    The same answer in every process, for EXPLORE_SHARE of all pairs.
    """
    digest = hashlib.blake2b(f"{hash16}:{hour}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) < EXPLORE_SHARE * 2**32
