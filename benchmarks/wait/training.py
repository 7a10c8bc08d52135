"""What a channel has counted of the conversations of the training part, as its tally would hold it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise

from benchmarks.wait.conversations import Conversation, Turn
from benchmarks.wait.policies import Policy
from buffer.window_policy import GAP_BOUNDS_MS, READ_MS, AutoPolicy, Gaps, channel_window, explores

TRAINING_SHARE = 0.6
HOUR_MS = 3_600_000


def divide(conversations: list[Conversation]) -> tuple[list[Conversation], list[Conversation]]:
    """Return the first conversations of a file, from which is learnt, and the rest, on which figures are made."""
    at = round(len(conversations) * TRAINING_SHARE)
    return conversations[:at], conversations[at:]


def explored_gaps(conversations: Iterable[Conversation], policy: Policy) -> Gaps | None:
    """Return what a channel of that many explored conversations has counted, None for a fixed window.

    A person who goes on later than the longest window, the agent's time and 3 s has read an answer: a new turn.
    """
    if policy.auto is None:
        return None
    seen_ms = policy.auto.max_ms + policy.agent_ms + READ_MS
    return _count((gap_ms, seen_ms) for one in conversations for turn in one.turns for gap_ms in _gaps_ms(turn))


def all_gaps(conversations: Iterable[Conversation], auto: AutoPolicy, agent_ms: int, window_ms: int) -> Gaps:
    """Return what a channel with this window has counted if not only the explored conversations count."""

    def gaps() -> Iterator[tuple[int | None, int]]:
        for one in conversations:
            for turn in one.turns:
                is_explored = explores(f"{one.name}/{turn.author}", turn.messages[0].at_ms // HOUR_MS)
                seen_ms = (auto.max_ms if is_explored else window_ms) + agent_ms + READ_MS
                yield from ((gap_ms, seen_ms) for gap_ms in _gaps_ms(turn))

    return _count(gaps())


def windows_of_all_gaps(conversations: list[Conversation], auto: AutoPolicy, agent_ms: int, days: int) -> list[int]:
    """Return the windows to which such a channel comes in some days of as many conversations, each day anew."""
    windows = [auto.start_ms]
    for _ in range(days):
        windows.append(channel_window(all_gaps(conversations, auto, agent_ms, windows[-1]), auto).window_ms)
    return windows


def _count(gaps: Iterable[tuple[int | None, int]]) -> Gaps:
    """Count gaps (None: the first message of a turn), each with how long a gap can be to be seen."""
    counts, turns = [0] * len(GAP_BOUNDS_MS), 0
    for gap_ms, seen_ms in gaps:
        if gap_ms is None or gap_ms > seen_ms:
            turns += 1
        else:
            counts[bisect_left(GAP_BOUNDS_MS, gap_ms)] += 1
    return Gaps(tuple(counts), turns)


def _gaps_ms(turn: Turn) -> Iterator[int | None]:
    yield None
    for before, after in pairwise(turn.messages):
        yield after.at_ms - before.at_ms
