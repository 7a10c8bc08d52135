"""The rules of the deadline: quiet, held while the person types, let go, and taken back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffer.deadlines import (
    InFlight,
    hold_deadline_ms,
    let_go_deadline_ms,
    may_restart,
    quiet_deadline_ms,
    typing_window_ms,
)

MS = st.integers(0, 10**6)


@given(MS, MS, MS, MS, MS)
def test_no_hold_is_longer_than_the_longest_wait(now_ms, opened_ms, quiet_ms, span_ms, max_wait_ms):
    """Neither a typing signal nor its end moves a deadline past the longest wait."""
    latest_ms = opened_ms + max_wait_ms
    assert hold_deadline_ms(now_ms, opened_ms, span_ms, max_wait_ms) <= latest_ms
    assert let_go_deadline_ms(now_ms, opened_ms, quiet_ms, span_ms, max_wait_ms) <= latest_ms
    assert quiet_deadline_ms(quiet_ms, span_ms, opened_ms, max_wait_ms) <= latest_ms


@given(MS, MS, MS, MS, MS)
def test_a_typing_signal_never_shortens(now_ms, opened_ms, hold_ms, max_wait_ms, deadline_ms):
    """The deadline after a signal is the present one or later, and a second signal at once changes nothing."""
    held_ms = hold_deadline_ms(now_ms, opened_ms, hold_ms, max_wait_ms, deadline_ms)
    assert held_ms >= deadline_ms
    assert hold_deadline_ms(now_ms, opened_ms, hold_ms, max_wait_ms, held_ms) == held_ms


def test_hold_and_let_go():
    """Held for 12 s past the signal; let go 1.5 s after typing ends, but not before the burst's own window."""
    assert hold_deadline_ms(5_000, 1_000, 12_000, 60_000, 9_000) == 17_000
    assert let_go_deadline_ms(6_000, 1_000, 9_000, 1_500, 60_000) == 9_000
    assert let_go_deadline_ms(8_000, 1_000, 9_000, 1_500, 60_000) == 9_500
    assert let_go_deadline_ms(60_500, 1_000, 9_000, 1_500, 60_000) == 61_000


@pytest.mark.parametrize(
    ("typing_ms", "presence_ms", "expected"),
    [
        (3_000, 40_001, 3_000),
        (3_000, 40_000, 8_000),
        (3_000, None, 8_000),
        (None, 99_000, 8_000),
        (9_000, 99_000, 8_000),
    ],
)
def test_typing_window(typing_ms, presence_ms, expected):
    """The shorter window only where typing was seen in the last minute, and never a longer one."""
    assert typing_window_ms(8_000, typing_ms, presence_ms, 100_000) == expected


@pytest.mark.parametrize(
    ("now_ms", "batch", "is_within_caps", "expected"),
    [
        (60_999, InFlight(1_000, 1, False), True, True),
        (61_000, InFlight(1_000, 1, False), True, False),
        (9_000, InFlight(1_000, 2, False), True, False),
        (9_000, InFlight(1_000, 0, True), True, False),
        (9_000, InFlight(1_000, 0, False), False, False),
    ],
)
def test_may_restart(now_ms, batch, is_within_caps, expected):
    """Until the answer leaves, a bounded number of times, within the longest wait and the caps."""
    assert may_restart(now_ms, batch, 2, 60_000, is_within_caps) is expected


def test_never_restart():
    """No restart is allowed where the route says `queue`."""
    assert not may_restart(9_000, InFlight(1_000, 0, False), 0, 60_000)
