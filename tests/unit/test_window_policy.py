"""The window that a channel finds for itself: bounds, target, counts that cannot be, and exploration."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffer.insight_models import BOUNDS_MS, GAP_BUCKETS
from buffer.window_policy import (
    EXPLORE_SHARE,
    TURNS_MIN,
    AutoPolicy,
    Gaps,
    channel_window,
    explores,
    gaps_beyond,
)

POLICY = AutoPolicy(min_ms=2_000, max_ms=15_000, split_target=0.15)
COUNTS = st.lists(st.integers(0, 10**9), min_size=GAP_BUCKETS, max_size=GAP_BUCKETS).map(tuple)
GAPS = st.builds(Gaps, COUNTS, st.integers(TURNS_MIN, 10**10))
BOUNDS = st.tuples(st.integers(0, 60_000), st.integers(0, 60_000)).map(sorted)
TARGETS = st.floats(0.001, 0.999)


def bucket(gap_ms: float) -> int:
    """The bucket of a gap."""
    return next(at for at, bound_ms in enumerate(BOUNDS_MS["gap"]) if gap_ms <= bound_ms)


def gaps_at(gap_ms: float, count: int, turns: int) -> Gaps:
    """Gaps that all lie in one bucket."""
    counts = [0] * GAP_BUCKETS
    counts[bucket(gap_ms)] = count
    return Gaps(tuple(counts), turns)


@given(GAPS, BOUNDS, TARGETS)
def test_window_is_within_the_bounds(gaps, bounds, target):
    """Whatever was counted, the window lies between the shortest and the longest."""
    policy = AutoPolicy(*bounds, target)
    window = channel_window(gaps, policy)
    assert policy.min_ms <= window.window_ms <= policy.max_ms
    assert window.why == "auto_channel"


@given(GAPS, TARGETS, TARGETS)
def test_fewer_splits_need_a_longer_window(gaps, one, other):
    """A lower target never gives a shorter window."""
    low, high = sorted((one, other))
    lower, higher = (channel_window(gaps, POLICY._replace(split_target=target)).window_ms for target in (low, high))
    assert lower >= higher


@given(GAPS, TARGETS)
def test_window_is_the_shortest(gaps, target):
    """The window reaches the target, or is the longest; the one before it does not reach it."""
    policy = POLICY._replace(split_target=target)
    window_ms = channel_window(gaps, policy).window_ms
    assert window_ms == policy.max_ms or share_at(gaps, window_ms) <= target
    assert window_ms == policy.min_ms or share_at(gaps, window_ms - 100) > target


def share_at(gaps: Gaps, window_ms: int) -> float:
    """The share of turns that a window splits, as predicted."""
    beyond = gaps_beyond(gaps, window_ms)
    return beyond / (beyond + gaps.turns)


@given(GAPS, st.integers(0, 60_000), st.integers(0, 60_000))
def test_longer_windows_leave_fewer_gaps(gaps, one, other):
    """What the search relies on: the number of longer gaps never grows with the window."""
    short, long = sorted((one, other))
    assert gaps_beyond(gaps, short) >= gaps_beyond(gaps, long)
    assert gaps_beyond(gaps, 60_000) == 0


@given(GAPS, st.integers(0, 13_000))
def test_taking_back_shortens_the_window(gaps, take_back_ms):
    """Where a batch can be taken back for some time, the window is shorter by that time, down to the shortest."""
    plain, shorter = (
        channel_window(gaps, POLICY._replace(max_ms=60_000, take_back_ms=ms)).window_ms for ms in (0, take_back_ms)
    )
    assert abs(shorter - max(2_000, plain - take_back_ms)) <= 100


@pytest.mark.parametrize("turns", [0, 1, TURNS_MIN - 1])
def test_few_turns_say_nothing(turns):
    """Below 300 turns it is the start value, whatever the gaps say."""
    assert channel_window(gaps_at(20_000, 10_000, turns), POLICY) == (8_000, "auto_start")
    assert channel_window(gaps_at(20_000, 10_000, TURNS_MIN), POLICY) == (15_000, "auto_channel")


@pytest.mark.parametrize(
    "gaps",
    [
        None,
        Gaps((), 1_000),
        Gaps((1,) * (GAP_BUCKETS - 1), 1_000),
        Gaps((1,) * (GAP_BUCKETS + 1), 1_000),
        Gaps((1,) * (GAP_BUCKETS - 1) + (-1,), 1_000),
        Gaps((1,) * GAP_BUCKETS, -1),
    ],
)
def test_damaged_counts_are_told(gaps):
    """Counts that are missing or cannot be give the start value, under a name of its own."""
    assert channel_window(gaps, POLICY) == (8_000, "auto_broken")


@pytest.mark.parametrize(("low_ms", "high_ms", "start_ms"), [(2_000, 5_000, 5_000), (9_000, 15_000, 9_000)])
def test_start_value_is_within_the_bounds(low_ms, high_ms, start_ms):
    """The start value too keeps to the operator's bounds."""
    assert channel_window(Gaps((0,) * GAP_BUCKETS, 0), AutoPolicy(low_ms, high_ms, 0.15)).window_ms == start_ms
    assert channel_window(None, AutoPolicy(low_ms, high_ms, 0.15)).window_ms == start_ms


def test_nobody_goes_on():
    """Without gaps the shortest window is enough."""
    assert channel_window(Gaps((0,) * GAP_BUCKETS, 1_000), POLICY) == (2_000, "auto_channel")


def test_gaps_between_turns_do_not_count():
    """A gap above 60 s divides turns: no window is longer because of it."""
    assert channel_window(gaps_at(100_000, 10**6, 1_000), POLICY).window_ms == 2_000
    assert gaps_beyond(gaps_at(100_000, 10**6, 1_000), 0) == 0


def test_window_within_a_bucket():
    """Gaps are spread evenly by their logarithm: half of them lie above the geometric middle of their bucket."""
    at = bucket(6_000)
    lower_ms, upper_ms = BOUNDS_MS["gap"][at - 1], BOUNDS_MS["gap"][at]
    window_ms = channel_window(gaps_at(6_000, 400, 1_000), POLICY._replace(split_target=200 / 1_200)).window_ms
    assert window_ms == math.ceil(math.sqrt(lower_ms * upper_ms) / 100) * 100


def test_exploration_has_its_share():
    """About one of twenty pairs explores, in each hour others, and always the same ones."""
    names = [f"{number:016x}" for number in range(4_000)]
    chosen = {hour: {name for name in names if explores(name, hour)} for hour in (493_000, 493_001, 493_002)}
    for hour, some in chosen.items():
        assert 0.8 * EXPLORE_SHARE < len(some) / len(names) < 1.2 * EXPLORE_SHARE
        assert some == {name for name in names if explores(name, hour)}
    assert len(chosen[493_000] & chosen[493_001]) < 0.2 * len(chosen[493_000])
