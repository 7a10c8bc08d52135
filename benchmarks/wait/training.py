"""What a channel learns of the conversations of the training part, day by day, as the product would."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.wait.conversations import Conversation
from benchmarks.wait.policies import Policy
from benchmarks.wait.replay import Tally, replay
from buffer.censored_gaps import unbiased
from buffer.window_policy import Gaps, channel_window

TRAINING_SHARE = 0.6

DAYS = 3
"""From the third day on the window of a channel moves by a few tenths of a second."""


def divide(conversations: list[Conversation]) -> tuple[list[Conversation], list[Conversation]]:
    """Return the first conversations of a file, from which is learnt, and the rest, on which figures are made."""
    at = round(len(conversations) * TRAINING_SHARE)
    return conversations[:at], conversations[at:]


def learnt_gaps(conversations: Sequence[Conversation], policy: Policy) -> Gaps | None:
    """Return what a channel knows after some days of these conversations, None for a fixed window."""
    if policy.auto is None:
        return None
    return list(_days(conversations, policy, DAYS, is_corrected=True))[-1]


def windows_by_day(
    conversations: Sequence[Conversation], policy: Policy, days: int, is_corrected: bool
) -> Iterator[int]:
    """Yield the window of the channel at first and after each of some days, in ms."""
    assert policy.auto is not None
    yield channel_window(None, policy.auto).window_ms
    for gaps in _days(conversations, policy, days, is_corrected):
        yield channel_window(gaps, policy.auto).window_ms


def _days(conversations: Sequence[Conversation], policy: Policy, days: int, is_corrected: bool) -> Iterator[Gaps]:
    """Yield what is learnt of each day, which begins with the window that the day before has found.

    Without correction the gaps are taken as they are seen.
    """
    gaps = None
    for _ in range(days):
        tally = counted(conversations, policy, gaps)
        reads = tally.reads if is_corrected else [0] * len(tally.reads)
        gaps = unbiased(tally.counts, reads, tally.turns)
        yield gaps


def counted(conversations: Iterable[Conversation], policy: Policy, gaps: Gaps | None) -> Tally:
    """Return what a channel counts of conversations under a policy, `gaps` being what it knew before."""
    tally = Tally()
    for one in conversations:
        deque(replay(one, policy, gaps, tally), maxlen=0)
    return tally
