"""The habits of a contact: their bytes, their counting, and the window made of them."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffer.habits import (
    CLASSES,
    CONTACT_STEP_MS,
    COUNT_MAX,
    HABITS_SIZE,
    Habits,
    contact_window,
    habits_after,
    pack_habits,
    price_ms,
    unpack_habits,
)
from buffer.insight_models import GAP_BUCKETS
from buffer.window_policy import AutoPolicy, Gaps, channel_window, gaps_beyond

POLICY = AutoPolicy(min_ms=2_000, max_ms=15_000, split_target=0.15)
GAPS = Gaps((10,) * GAP_BUCKETS, 300)
BYTES = st.lists(st.integers(0, COUNT_MAX), min_size=CLASSES, max_size=CLASSES).map(tuple)
COUNTS = st.lists(st.integers(0, 10**6), min_size=GAP_BUCKETS, max_size=GAP_BUCKETS).map(tuple)
HABITS = st.builds(Habits, BYTES, st.integers(0, 65_535).map(lambda units: units * 10))


@given(HABITS)
def test_packing_keeps_everything(habits):
    """Nine bytes hold the habits."""
    assert len(pack_habits(habits)) == HABITS_SIZE == 9
    assert unpack_habits(pack_habits(habits)) == habits


def test_packed_window_is_bounded():
    """A window that two bytes cannot hold is cut, and 10 ms are the unit."""
    assert unpack_habits(pack_habits(Habits(window_ms=10**9))).window_ms == 655_350
    assert unpack_habits(pack_habits(Habits(window_ms=3_219))).window_ms == 3_210


@pytest.mark.parametrize("packed", [b"", b"12345678", b"1234567890"])
def test_bytes_of_another_length_are_no_habits(packed):
    """A damaged field means that nothing is known."""
    assert unpack_habits(packed) == Habits()


@pytest.mark.parametrize(
    ("gap_ms", "at"),
    [(0, 0), (2_000, 0), (2_001, 1), (5_000, 1), (8_000, 2), (12_000, 3), (20_000, 4), (60_000, 5), (60_001, 6)],
)
def test_classes(gap_ms, at):
    """Each gap counts in its class, one above 60 s as the end of a turn."""
    counts = habits_after(Habits(), 1_000, [1_000 + gap_ms]).counts
    assert counts == tuple(int(one == at) for one in range(CLASSES))


def test_gaps_of_a_batch():
    """The gap before the batch and those within it are counted, the window is left alone."""
    habits = habits_after(Habits(window_ms=4_000), 0, [90_000, 91_000, 95_000])
    assert habits == Habits((1, 1, 0, 0, 0, 0, 1), 4_000)
    assert habits_after(Habits(), None, [90_000, 91_000]).counts == (1, 0, 0, 0, 0, 0, 0)
    assert habits_after(Habits(), None, [90_000]) == Habits()


@pytest.mark.parametrize(("acked_ms", "at"), [(7_000, 3), (6_999, 6)])
def test_gap_over_a_read_answer(acked_ms, at):
    """Who writes more than 3 s after an answer has read it: the turn before was over."""
    assert habits_after(Habits(), 0, [10_000], acked_ms).counts[at] == 1


@given(BYTES, st.lists(st.integers(0, 100_000), max_size=300))
def test_counts_stay_bytes(counts, gaps_ms):
    """However many gaps come, the habits can be packed."""
    after = habits_after(Habits(counts), 0, list(accumulate(gaps_ms)))
    assert unpack_habits(pack_habits(after)) == after


def test_counts_halve_together():
    """When one count is full all are halved, so their proportions stay."""
    assert habits_after(Habits((255, 100, 0, 0, 0, 0, 51)), 0, [1_000]).counts == (128, 50, 0, 0, 0, 0, 25)
    assert habits_after(Habits((254, 100, 0, 0, 0, 0, 51)), 0, [1_000]).counts == (255, 100, 0, 0, 0, 0, 51)


@given(HABITS, COUNTS, st.floats(0.01, 0.9), st.integers(0, 20_000))
def test_contact_window_is_within_the_bounds(habits, counts, target, take_back_ms):
    """Whatever was counted of channel and contact, the window lies between the shortest and the longest."""
    policy = POLICY._replace(split_target=target, take_back_ms=take_back_ms)
    assert 2_000 <= contact_window(habits, Gaps(counts, 300), policy).window_ms <= 15_000


@given(COUNTS, st.integers(2_000, 15_000))
def test_longer_waiting_does_not_pay_at_the_price(counts, limit_ms):
    """The price of a premature answer is the one at which the channel gains nothing by any longer limit."""
    gaps = Gaps(counts, 300)
    price = price_ms(gaps, limit_ms)
    for longer_ms in range(limit_ms + CONTACT_STEP_MS, 60_000, CONTACT_STEP_MS):
        saved = price * (gaps_beyond(gaps, limit_ms) - gaps_beyond(gaps, longer_ms))
        assert saved <= gaps.turns * (longer_ms - limit_ms) * (1 + 1e-9)


def test_without_habits_it_is_the_channels():
    """Who has written one message has no window of their own; broken and few counts give none either."""
    assert contact_window(Habits(), GAPS, POLICY) == channel_window(GAPS, POLICY)
    many = Habits((0, 0, 0, 0, 200, 0, 50))
    assert contact_window(many, None, POLICY) == (8_000, "auto_broken")
    assert contact_window(many, GAPS._replace(turns=299), POLICY) == (8_000, "auto_start")


def test_contacts_differ():
    """Who pauses long within a turn gets a longer window than the channel, who says all at once a shorter one."""
    channel = channel_window(GAPS, POLICY).window_ms
    calm, slow = Habits((0, 0, 0, 0, 0, 0, 100)), Habits((0, 0, 0, 50, 50, 0, 50))
    windows = [contact_window(habits, GAPS, POLICY) for habits in (calm, slow)]
    assert [window.why for window in windows] == ["auto_contact"] * 2
    assert windows[0].window_ms < channel < windows[1].window_ms


def test_few_messages_change_little():
    """Five messages weigh a fifth of what is known: the window moves, by less than with a hundred."""
    five, hundred = Habits((0, 0, 0, 0, 0, 0, 5)), Habits((0, 0, 0, 0, 0, 0, 100))
    channel, some, many = (contact_window(habits, GAPS, POLICY).window_ms for habits in (Habits(), five, hundred))
    assert channel > some > many
