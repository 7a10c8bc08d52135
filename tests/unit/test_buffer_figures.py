"""The figures of the counters: quantiles, calls saved, split turns and how long people wait."""

from __future__ import annotations

import bisect

from buffer.figures import Figures, bars, figures_of, quantile_ms
from buffer.insight_models import BOUNDS_MS, ChannelTotals, Histogram


def histogram(name: str, values_ms: list[float]) -> Histogram:
    bounds = BOUNDS_MS[name]
    counts = [0] * len(bounds)
    for value in values_ms:
        counts[bisect.bisect_left(bounds, value)] += 1
    return Histogram(bounds, tuple(counts), int(sum(values_ms)))


def test_the_figures_of_the_wait():
    """Ten turns: two were split, one of them twice; 13 flushes were answered, and one that was taken back was not."""
    counters = {"turns": 10, "turns_split": 2, "bursts_split": 3, "flushes_superseded": 1, "flushes_disabled": 4}
    waits, replies = histogram("wait_ms", [0.0] * 4 + [4_000.0] * 12 + [16_000.0]), histogram("reply_ms", [9_000.0] * 2)
    found = figures_of([ChannelTotals("g", "c", counters, {"wait_ms": waits, "reply_ms": replies})])
    assert (found.split_share, found.premature_per_turn) == (0.2, 0.3)
    assert found.calls_per_turn == (12 + 1 + 1) / 10
    assert found.mean_ms("wait_ms") == 64_000 / 17
    assert found.mean_ms("reply_ms") == 9_000
    assert (found.at_most_ms("wait_ms", 0.9), found.at_most_ms("wait_ms", 1)) == (4_000, 20_000)
    assert (found.at_most_ms("reply_ms", 0.9), found.at_most_ms("lateness_ms", 0.9)) == (10_000, None)


def test_a_flush_that_was_taken_back_is_one_call():
    """It counts where it was sealed, and not once more."""
    found = figures_of([ChannelTotals("g", "c", {"flushes_quiet": 5, "flushes_superseded": 2, "flush_messages": 9})])
    assert (found.calls, found.restarts) == (5, 2)


def test_figures_of_several_channels_are_summed():
    """Counters, histograms and the counts of the day add up, and single flushes are no flushes beside the others."""
    one = ChannelTotals(
        "g", "a", {"flushes_quiet": 3, "flushes_single": 2, "flush_messages": 7}, {"gap": histogram("gap", [500.0])}
    )
    two = ChannelTotals(
        "g", "b", {"flushes_keyword": 1, "flush_messages": 4}, {"gap": histogram("gap", [600.0])}, {"messages": 4}
    )
    one.gap_turns, two.gap_turns = 5, 3
    both = figures_of([one, two])
    assert both.gap_turns == 8
    assert (both.calls, both.calls_saved, both.messages_per_call) == (4, 7, 11 / 4)
    assert (both.histograms["gap"].count, both.today["messages"]) == (2, 4)


def test_without_flushes_nothing_is_divided():
    """Shares are unknown, not 0 and no error."""
    figures = Figures()
    assert (figures.messages_per_call, figures.split_share, figures.premature_per_turn) == (None, None, None)
    assert (figures.calls_per_turn, figures.mean_ms("wait_ms")) == (None, None)
    assert figures.quantile_ms("lateness_ms", 0.5) is None


def test_quantiles_are_those_of_prometheus():
    """Values lie evenly within a bucket; what lies above all bounds counts as the last one."""
    four = histogram("lateness_ms", [1.0, 2.0, 3.0, 7.0])
    assert quantile_ms(four, 0.75) == 5
    assert quantile_ms(four, 1.0) == 10
    assert quantile_ms(histogram("lateness_ms", [10**9]), 0.5) == 60_000


def test_bars():
    """The largest has the whole width, and what counts anything is seen."""
    assert bars([0, 1, 1000], 40) == [0, 1, 40]
    assert bars([], 40) == []
    assert bars([0, 0], 40) == [0, 0]
