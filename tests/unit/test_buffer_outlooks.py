"""What fixed windows would do, foretold from the gaps of people."""

from __future__ import annotations

import bisect
import math
import random

import pytest

from buffer.figures import Figures, figures_of
from buffer.insight_models import BOUNDS_MS, ChannelTotals, Histogram
from buffer.outlooks import SPLIT_SHARE_GOOD, WINDOWS_S, gaps_of, is_known, outlook_of, outlooks, recommended_s
from buffer.window_policy import TURNS_MIN, AutoPolicy, channel_window

MEDIAN_GAP_S, SPREAD, TURNS = 3.0, 0.9, 20_000
GOES_ON = 0.4
"""The probability that a person writes on."""


def people() -> list[list[float]]:
    """Turns of people, each the gaps between its messages in seconds."""
    rnd = random.Random(7)
    turns: list[list[float]] = []
    for _ in range(TURNS):
        turns.append([])
        while rnd.random() < GOES_ON:
            turns[-1].append(min(59.0, rnd.lognormvariate(math.log(MEDIAN_GAP_S), SPREAD)))
    return turns


FOUND = people()


def figures(turns: list[list[float]]) -> Figures:
    """What the scripts count of turns, whatever the window."""
    bounds, counts = BOUNDS_MS["gap"], [0] * len(BOUNDS_MS["gap"])
    for gap_s in (gap_s for turn in turns for gap_s in turn):
        counts[bisect.bisect_left(bounds, gap_s * 1000)] += 1
    totals = ChannelTotals("g", "c", {}, {"gap": Histogram(bounds, tuple(counts), 0)}, gap_turns=len(turns))
    return figures_of([totals])


def test_a_fixed_window_is_foretold():
    """What the gaps say about a window is what that window does."""
    for outlook in outlooks(figures(FOUND), 20.0):
        split = sum(any(gap_s > outlook.window_s for gap_s in turn) for turn in FOUND) / TURNS
        premature = sum(gap_s > outlook.window_s for turn in FOUND for gap_s in turn) / TURNS
        assert outlook.split_share == pytest.approx(split, abs=0.01)
        assert outlook.premature_per_turn == pytest.approx(premature, abs=0.01)
        assert outlook.calls_per_turn == 1 + outlook.premature_per_turn


def test_the_windows_of_the_table():
    """They are the fixed ones, the present one, and those that are asked for; each once, shortest first."""
    found = outlooks(figures(FOUND), 8.0, 9.0)
    assert [one.window_s for one in found] == sorted({*WINDOWS_S, 9.0})
    assert [one.window_s for one in found if one.is_present] == [8.0]


def test_the_recommended_window_splits_few_turns():
    """It is the shortest one in whole seconds, and an auto channel with this target finds the same."""
    best_s, gaps = recommended_s(figures(FOUND)), gaps_of(figures(FOUND))
    assert best_s is not None
    assert gaps is not None
    assert outlook_of(gaps, best_s).split_share <= SPLIT_SHARE_GOOD < outlook_of(gaps, best_s - 1).split_share
    own = channel_window(gaps, AutoPolicy(1_000, 60_000, SPLIT_SHARE_GOOD))
    assert math.ceil(own.window_ms / 1000) == best_s


def test_few_turns_recommend_nothing():
    """Without gaps or turns nothing is foretold; of few turns it is a guess, and no reason to change a window."""
    assert outlooks(Figures(), 8.0) == []
    assert outlooks(figures([[]] * TURNS_MIN), 8.0) == []
    few, enough = figures(FOUND[: TURNS_MIN - 1]), figures(FOUND[:TURNS_MIN])
    assert (is_known(few), recommended_s(few), len(outlooks(few, None))) == (False, None, len(WINDOWS_S))
    assert is_known(enough)
    assert recommended_s(enough)


def test_gaps_that_answers_hide_are_foretold():
    """Of people who read an answer after 5 s the short gaps are seen, and the long ones of those who read it late."""
    bounds = BOUNDS_MS["gap"]
    hidden = [[gap_s for gap_s in turn if gap_s <= (30.0 if at % 20 == 0 else 5.0)] for at, turn in enumerate(FOUND)]
    seen = figures(hidden)
    cut = sum(len(turn) - len(left) for turn, left in zip(FOUND, hidden, strict=True))
    reads = [0] * len(bounds)
    reads[bisect.bisect_left(bounds, 5_000) - 1], reads[bisect.bisect_left(bounds, 30_000)] = 19_000 + cut, 1_000
    seen.gap_turns += cut
    seen.histograms["gap:read"] = Histogram(bounds, tuple(reads), 0)
    expected, corrected = outlook_of(gaps_of(figures(FOUND)), 6), outlook_of(gaps_of(seen), 6)
    del seen.histograms["gap:read"]
    assert corrected.split_share == pytest.approx(expected.split_share, abs=0.03)
    assert outlook_of(gaps_of(seen), 6).split_share < expected.split_share / 2
