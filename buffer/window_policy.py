"""The window that a channel finds for itself from the gaps between messages (`MESSAGE_BUFFER_TIMEOUT=auto`)."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Callable
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

STEP_MS = 100
"""Windows are multiples of this, or one of the two bounds."""

GAP_BOUNDS_MS = BOUNDS_MS["gap"]


class AutoPolicy(NamedTuple):
    """The bounds of the windows in ms, the share of turns that may be split, and the window without knowledge."""

    min_ms: int
    max_ms: int
    split_target: float
    start_ms: int = 8_000


class Gaps(NamedTuple):
    """What a channel has counted: gaps in the buckets of BOUNDS_MS["gap"], and the turns to which they belong."""

    counts: tuple[int, ...]
    turns: int


class Window(NamedTuple):
    """A window and why it is this one."""

    window_ms: int
    why: AutoWhy


def channel_window(gaps: Gaps | None, policy: AutoPolicy) -> Window:
    """Return the shortest window that splits no more turns than the policy's target, as the gaps predict.

    None or counts that cannot be are `auto_broken`, fewer than TURNS_MIN turns `auto_start`: both get the start value.
    """
    start_ms = min(policy.max_ms, max(policy.min_ms, policy.start_ms))
    if gaps is None or not _is_sound(gaps):
        return Window(start_ms, "auto_broken")
    if gaps.turns < TURNS_MIN:
        return Window(start_ms, "auto_start")
    tails = gap_tails(gaps.counts, policy.min_ms, policy.max_ms)
    return Window(shortest(policy, lambda at: split_share(tails[at], gaps.turns)), "auto_channel")


def _is_sound(gaps: Gaps) -> bool:
    return len(gaps.counts) == len(GAP_BOUNDS_MS) and min(gaps.counts) >= 0 and gaps.turns >= 0


def split_share(premature: float, turns: float) -> float:
    """Return which share of the turns is split at least once, of the number of gaps that are longer than the window.

    It is exact where each message is followed by another with the same probability, whatever came before. Then the
    number of premature answers per turn is geometric: 1 of 1 + premature / turns turns stays whole.
    """
    return premature / (turns + premature) if premature else 0.0


def shortest(policy: AutoPolicy, split_share_of: Callable[[int], float]) -> int:
    """Return the first of `windows_ms` whose split share reaches the target, the longest if none does.

    `split_share_of` takes a position in `windows_ms`. A longer window must not have a larger share.
    """
    windows = windows_ms(policy.min_ms, policy.max_ms)
    others = range(len(windows) - 1)
    return windows[bisect_left(others, True, key=lambda at: split_share_of(at) <= policy.split_target)]


@lru_cache(maxsize=64)
def windows_ms(min_ms: int, max_ms: int) -> tuple[int, ...]:
    """Return the windows that can be chosen, shortest first."""
    return (*range(min_ms, max_ms, STEP_MS), max_ms)


@lru_cache(maxsize=1024)
def gap_tails(counts: tuple[int, ...], min_ms: int, max_ms: int) -> tuple[float, ...]:
    """Return, for each of `windows_ms`, how many gaps of a turn are longer."""
    beyond = _above(counts, TURN_GAP_MS)
    return tuple(max(0.0, _above(counts, window_ms) - beyond) for window_ms in windows_ms(min_ms, max_ms))


def gaps_of_turns(counts: tuple[int, ...]) -> float:
    """Return how many of the gaps lie within turns."""
    return sum(counts) - _above(counts, TURN_GAP_MS)


def _above(counts: tuple[int, ...], limit_ms: float) -> float:
    lowers_ms = (GAP_BOUNDS_MS[0] / 2, *GAP_BOUNDS_MS)
    return math.fsum(
        count * share_of_bucket_above(lower_ms, upper_ms, limit_ms)
        for count, lower_ms, upper_ms in zip(counts, lowers_ms, GAP_BOUNDS_MS, strict=False)
    )


def explores(hash16: str, hour: int) -> bool:
    """Return whether a conversation keeps the longest window in this hour (hours since 1970).

    The same answer in every process, for EXPLORE_SHARE of all pairs.
    """
    digest = hashlib.blake2b(f"{hash16}:{hour}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) < EXPLORE_SHARE * 2**32
