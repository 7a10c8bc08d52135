"""Gaps that a channel cannot see, because its own answer was read first, are estimated from those it can see."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffer.auto_windows import FIELDS, gaps_in
from buffer.censored_gaps import READ_MAX, silent_bucket, unbiased
from buffer.insight_models import BOUNDS_MS, GAP_BUCKETS
from buffer.window_policy import (
    EXPLORE_SHARE,
    READ_MS,
    TURN_GAP_MS,
    AutoPolicy,
    Gaps,
    channel_window,
    gaps_between_turns,
    gaps_beyond,
)

POLICY = AutoPolicy(min_ms=2_000, max_ms=15_000, split_target=0.15)
AGENT_MS = 1_000
NO_READS = (0,) * GAP_BUCKETS
COUNTS = st.lists(st.integers(0, 10**6), min_size=GAP_BUCKETS, max_size=GAP_BUCKETS).map(tuple)
READS = st.lists(st.integers(0, 10**6), min_size=READ_MAX + 1, max_size=READ_MAX + 1).map(
    lambda some: (*some, *NO_READS[READ_MAX + 1 :])
)
GOES_ON, TYPICAL_MS, SPREAD = 0.35, 6_000, 0.6
"""Of the people of these tests: the share of messages after which they go on, and the gap (log-normal) before it."""


@given(COUNTS, st.integers(0, 10**7))
def test_without_read_answers_nothing_changes(counts, turns):
    """Where every gap was seen to its end, the counts are what they are."""
    assert unbiased(counts, NO_READS, turns) == Gaps(counts, turns)


@given(COUNTS, READS, st.integers(0, 10**7))
def test_an_estimate_can_always_be(counts, reads, others):
    """Whatever was counted: no count is negative or infinite, and the turns are those counted."""
    turns = sum(reads) + sum(counts[-3:]) + others
    found = unbiased(counts, reads, turns)
    assert found.turns == turns
    assert len(found.counts) == GAP_BUCKETS
    assert all(0 <= one < float("inf") for one in found.counts)
    assert channel_window(found, POLICY).why in ("auto_channel", "auto_start")


@given(COUNTS, READS, st.integers(0, 10**7))
def test_more_gaps_are_estimated_than_seen(counts, reads, others):
    """An answer can only hide gaps: to as many turns there are no fewer than were seen."""
    turns = sum(reads) + sum(counts[-3:]) + others
    seen, found = Gaps(counts, turns), unbiased(counts, reads, turns)
    assert gaps_beyond(found, 0) * 1.000001 >= gaps_beyond(seen, 0) - 1


def test_answers_that_all_are_read_late_hide_nothing():
    """A gap of 1 s is seen whether or not an answer is read after 50 s."""
    counts, reads = [0] * GAP_BUCKETS, [0] * GAP_BUCKETS
    counts[bucket(1_000)], reads[READ_MAX] = 300, 1_000
    found = unbiased(counts, reads, 1_000)
    assert found.counts[bucket(1_000)] == pytest.approx(300)


def test_what_few_could_show_is_not_believed():
    """One gap of 40 s and one answer that late, of 1,000 messages, do not make half of all messages late ones."""
    counts, reads = [0] * GAP_BUCKETS, [0] * GAP_BUCKETS
    counts[bucket(1_000)], counts[bucket(40_000)], reads[12], reads[READ_MAX] = 100, 1, 900, 1
    assert sum(unbiased(counts, reads, 901).counts[bucket(40_000) :]) == 0


def test_turns_of_which_nothing_is_known_end_as_the_others():
    """A first message tells nothing of the answers before it: more of them do not make the turns any shorter."""
    counts, reads = counted(Random(1), 3_000, 8_000)
    some, many = (unbiased(counts, reads, sum(reads) + sum(counts[-3:]) + first) for first in (0, 3_000))
    assert many.counts[14] / many.turns < some.counts[14] / some.turns
    assert channel_window(many, POLICY).window_ms < channel_window(some, POLICY).window_ms


@pytest.mark.parametrize("window_ms", [3_000, 8_000, 12_000])
def test_the_true_window_is_found_whatever_the_window_in_force(window_ms):
    """With one message of twenty explored the estimate finds the window that all gaps would give."""
    counts, reads = counted(Random(7), 20_000, window_ms)
    turns = sum(reads) + sum(counts[-3:])
    true_ms = channel_window(uncensored(Random(8), 20_000), POLICY).window_ms
    assert abs(channel_window(unbiased(counts, reads, turns), POLICY).window_ms - true_ms) <= 1_000
    if window_ms == 3_000:
        assert channel_window(Gaps(tuple(counts), turns), POLICY).window_ms < 0.6 * true_ms


def test_the_window_does_not_follow_what_it_hides():
    """Day by day it stays where it is. Without correction it shrinks."""
    true_ms = channel_window(uncensored(Random(8), 20_000), POLICY).window_ms
    corrected = days(is_corrected=True)
    assert all(abs(one - true_ms) <= 1_000 for one in corrected)
    seen = days(is_corrected=False)
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < 0.7 * true_ms


def days(is_corrected: bool) -> list[int]:
    """The windows of six days of 10,000 turns, the first with a window of 8 s."""
    random, windows = Random(9), list[int]()
    for _ in range(6):
        counts, reads = counted(random, 10_000, windows[-1] if windows else 8_000)
        found = unbiased(counts, reads if is_corrected else NO_READS, sum(reads) + sum(counts[-3:]))
        windows.append(channel_window(found, POLICY).window_ms)
    return windows


def counted(random: Random, turns: int, window_ms: int) -> tuple[list[int], list[int]]:
    """What a channel with this window counts until so many answers were read: gaps, and read answers."""
    counts, reads = [0] * GAP_BUCKETS, [0] * GAP_BUCKETS
    while sum(reads) < turns:
        gap_ms, is_explored = next_gap_ms(random), random.random() < EXPLORE_SHARE
        read_ms = (POLICY.max_ms if is_explored else window_ms) + AGENT_MS + READ_MS
        if gap_ms <= read_ms:
            counts[bucket(gap_ms)] += 1
        else:
            reads[silent_bucket(read_ms, random.random())] += 1
    return counts, reads


def uncensored(random: Random, turns: int) -> Gaps:
    """What it would count if nobody read an answer within a turn."""
    counts, ends = [0] * GAP_BUCKETS, 0
    while ends < turns:
        gap_ms = next_gap_ms(random)
        if gap_ms <= TURN_GAP_MS:
            counts[bucket(gap_ms)] += 1
        else:
            ends += 1
    return Gaps(tuple(counts), ends)


def next_gap_ms(random: Random) -> float:
    if random.random() >= GOES_ON:
        return float("inf")
    return TYPICAL_MS * 2.718 ** random.gauss(0, SPREAD)


def bucket(gap_ms: float) -> int:
    return bisect_left(BOUNDS_MS["gap"], gap_ms)


def tally(**changes: object) -> list[bytes | None]:
    """A tally with 400 turns, 300 of them after a read answer, and 100 gaps."""
    values: dict[str, object] = {"gap:turns": 400, "gap:14": 100, "gap:read:15": 300} | {
        name.replace("_", ":"): value for name, value in changes.items()
    }
    return [None if (value := values.get(field)) is None else str(value).encode() for field in FIELDS]


def test_a_tally_is_estimated():
    """What is read of a tally is what the estimate makes of its gaps and its read answers."""
    counts, reads = (
        [number if at == bucket else 0 for at in range(GAP_BUCKETS)] for bucket, number in ((14, 100), (15, 300))
    )
    assert gaps_in(tally()) == unbiased(counts, reads, 400)


@pytest.mark.parametrize(
    "changes",
    [{"gap_read_3": -1}, {"gap_read_3": "some"}, {"gap_read_3": 1.5}, {"gap_read_16": 200}, {"gap_turns": "x"}],
)
def test_a_tally_that_cannot_be(changes):
    """Negative or malformed counts, or more read answers than turns, are told as broken."""
    assert gaps_in(tally(**changes)) is None


def test_gaps_between_turns():
    """Only what is longer than 60 s divides turns."""
    counts = [0] * GAP_BUCKETS
    counts[bucket(50_000)], counts[bucket(100_000)] = 5, 7
    assert gaps_between_turns(Gaps(tuple(counts), 20)) == 7
