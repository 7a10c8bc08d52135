"""The figures of the counters: quantiles, calls saved, and what another window would do."""

from __future__ import annotations

import bisect
import math
import random

import pytest

from buffer.figures import Figures, bars, figures_of, outlooks, quantile_ms, recommended_s, share_above
from buffer.insight_models import BOUNDS_MS, ChannelTotals, Histogram

MEDIAN_GAP_S, SPREAD, BURSTS = 3.0, 0.9, 20_000
SINGLE = 0.57
"""Share of the bursts that have one message."""


def histogram(name: str, values_ms: list[float]) -> Histogram:
    bounds = BOUNDS_MS[name]
    counts = [0] * len(bounds)
    for value in values_ms:
        counts[bisect.bisect_left(bounds, value)] += 1
    return Histogram(bounds, tuple(counts), int(sum(values_ms)))


def bursts() -> list[list[float]]:
    """Bursts of people, each the gaps between its messages in seconds."""
    rnd = random.Random(7)
    sizes = [0 if rnd.random() < SINGLE else rnd.randint(1, 4) for _ in range(BURSTS)]
    return [[min(119, rnd.lognormvariate(math.log(MEDIAN_GAP_S), SPREAD)) for _ in range(size)] for size in sizes]


def counted(window_s: float) -> Figures:
    """What the scripts count of these bursts with a window."""
    found = bursts()
    gaps = [gap for burst in found for gap in burst]
    split = sum(gap > window_s for gap in gaps)
    counters = {
        "flushes_quiet": len(found) + split,
        "flush_messages": len(found) + len(gaps),
        "bursts_split": split,
    }
    return figures_of([ChannelTotals("g", "c", counters, {"gap": histogram("gap", [gap * 1000 for gap in gaps])})])


@pytest.mark.parametrize("present_s", [3.0, 8.0, 20.0])
def test_another_window_is_foretold(present_s: float):
    """What the counters of one window say about others is what those windows would have counted."""
    figures = counted(present_s)
    for outlook in outlooks(figures, present_s):
        real = counted(outlook.window_s)
        assert real.split_share is not None
        assert outlook.split_share == pytest.approx(real.split_share, abs=0.015)
        assert outlook.calls_per_burst == pytest.approx(real.calls / BURSTS, abs=0.02)


def test_the_recommended_window_splits_few_bursts():
    """It is the shortest one in whole seconds that splits at most one of 20, however long the present one is."""
    best_s = {recommended_s(counted(present_s)) for present_s in (3.0, 8.0, 20.0)}
    assert len(best_s) == 1
    [shortest_s] = best_s
    assert shortest_s is not None
    shares = [counted(float(second)).split_share or 0 for second in (shortest_s - 1, shortest_s)]
    assert shares[1] <= 0.055
    assert shares[0] > 0.045


def test_too_few_gaps_recommend_nothing():
    """Without gaps there is no outlook, and a few of them are no reason to change a window."""
    assert outlooks(Figures(), 8.0) == []
    assert recommended_s(Figures()) is None
    few = ChannelTotals("g", "c", {"flushes_quiet": 9, "flush_messages": 18}, {"gap": histogram("gap", [900.0] * 9)})
    assert recommended_s(figures_of([few])) is None
    assert outlooks(figures_of([few]), 8.0)


def test_figures_of_several_channels_are_summed():
    """Counters, histograms and the counts of the day add up, and single flushes are no flushes beside the others."""
    one = ChannelTotals(
        "g", "a", {"flushes_quiet": 3, "flushes_single": 2, "flush_messages": 7}, {"gap": histogram("gap", [500.0])}
    )
    two = ChannelTotals(
        "g", "b", {"flushes_keyword": 1, "flush_messages": 4}, {"gap": histogram("gap", [600.0])}, {"messages": 4}
    )
    both = figures_of([one, two])
    assert (both.calls, both.calls_saved, both.messages_per_call) == (4, 7, 11 / 4)
    assert (both.histograms["gap"].count, both.today["messages"]) == (2, 4)


def test_without_flushes_nothing_is_divided():
    """Shares are unknown, not 0 and no error."""
    figures = Figures()
    assert (figures.messages_per_call, figures.split_share, figures.gaps_per_burst) == (None, None, None)
    assert figures.quantile_ms("lateness_ms", 0.5) is None


def test_quantiles_are_those_of_prometheus():
    """Values lie evenly within a bucket; what lies above all bounds counts as the last one."""
    four = histogram("lateness_ms", [1.0, 2.0, 3.0, 7.0])
    assert quantile_ms(four, 0.75) == 5
    assert quantile_ms(four, 1.0) == 10
    assert quantile_ms(histogram("lateness_ms", [10**9]), 0.5) == 60_000


def test_the_share_above_a_limit():
    """Whole buckets count whole; one that holds the limit counts in part, and no limit counts beyond all or nothing."""
    gaps = histogram("gap", [500.0] * 10 + [50_000.0] * 10)
    assert share_above(gaps, 5_000) == 0.5
    assert share_above(gaps, 1) == 1
    assert share_above(gaps, 10**9) == 0
    assert 0 < share_above(gaps, 50_000) < 0.5


def test_bars():
    """The largest has the whole width, and what counts anything is seen."""
    assert bars([0, 1, 1000], 40) == [0, 1, 40]
    assert bars([], 40) == []
    assert bars([0, 0], 40) == [0, 0]
