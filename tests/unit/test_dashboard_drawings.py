"""The drawings of the page: what stands where, in well-formed SVG, whatever the data is."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.unit.dashboard_pictures import FIXED, NOW_MS, REF, ended, figures, snapshot, waiting
from webhook.dashboard.models import AtAgent
from webhook.dashboard.svg.gaps import gaps_svg, place_of
from webhook.dashboard.svg.lane import FUTURE, Axis, axis_svg, lane_svg
from webhook.dashboard.svg.wait import wait_svg
from webhook.dashboard.timeline import LANES_MAX, Lane, lanes_of
from webhook.dashboard.tuning import tuning_of
from webhook.dashboard.words import WORDS

WORDS_EN = WORDS["en"]
AXIS = Axis(NOW_MS, 60_000)
HOSTILE = "<script>alert(1)</script>\"'"


def shapes(svg: str, kind: str) -> list[ElementTree.Element]:
    """The shapes whose class has this word."""
    return [one for one in ElementTree.fromstring(svg).iter() if kind in one.get("class", "").split()]


def lane(**changed: object) -> Lane:
    (found,) = lanes_of(snapshot(pending=[], ended=[ended(**changed)]), 60_000)
    return found


def place(share: str | None) -> float:
    assert share is not None
    return float(share.removesuffix("%")) / 100


def test_a_burst_is_drawn():
    """A dot for each message, a bar for the buffer, its end by its cause, the call, and each part of the reply."""
    svg = lane_svg(lane(), AXIS, WORDS_EN)
    assert [len(shapes(svg, kind)) for kind in ("message", "buffer", "by-quiet", "call", "part")] == [3, 1, 1, 1, 2]
    (buffer,), (call,) = shapes(svg, "buffer"), shapes(svg, "call")
    assert place(buffer.get("x")) + place(buffer.get("width")) == pytest.approx(place(call.get("x")), abs=1e-3)
    assert place(call.get("width")) == pytest.approx((1 - FUTURE) * 3 / 60, abs=1e-3)


def test_an_open_burst_reaches_to_now_and_shows_its_deadline():
    """The bar ends at now, and what is left until the deadline lies ahead of it."""
    (found,) = lanes_of(snapshot(ended=[]), 60_000)
    svg = lane_svg(found, AXIS, WORDS_EN)
    (buffer,), (ahead,) = shapes(svg, "buffer"), shapes(svg, "ahead")
    assert place(buffer.get("x")) + place(buffer.get("width")) == pytest.approx(1 - FUTURE, abs=1e-3)
    assert place(ahead.get("x")) == pytest.approx(1 - FUTURE, abs=1e-3)
    assert not shapes(svg, "end")


def test_a_call_in_progress_reaches_to_now():
    """A batch at the agent has its messages, its end and a call that goes on, beside the next open burst."""
    batch = AtAgent(NOW_MS - 10_000, "quiet", 2, (NOW_MS - 20_000, NOW_MS - 18_000))
    (found,) = lanes_of(snapshot(pending=[waiting(state="in_flight", at_agent=batch)], ended=[]), 60_000)
    svg = lane_svg(found, AXIS, WORDS_EN)
    (call,) = shapes(svg, "call")
    assert place(call.get("x")) == pytest.approx(AXIS.place(NOW_MS - 10_000), abs=1e-3)
    assert place(call.get("x")) + place(call.get("width")) == pytest.approx(1 - FUTURE, abs=1e-3)
    assert (len(shapes(svg, "message")), len(shapes(svg, "end")), len(shapes(svg, "buffer"))) == (4, 1, 2)
    assert "2 messages, at the agent" in svg


def test_a_duplicate_is_hollow():
    """A suppressed duplicate is no message."""
    (found,) = lanes_of(snapshot(pending=[], duplicates={REF: (NOW_MS - 1_000, NOW_MS - 61_000)}), 60_000)
    svg = lane_svg(found, AXIS, WORDS_EN)
    assert (len(shapes(svg, "duplicate")), len(shapes(svg, "message"))) == (1, 3)


@pytest.mark.parametrize(("outcome", "sign"), [("dead", "✕"), ("discarded", "∅")])
def test_what_was_not_delivered_has_a_sign(outcome: str, sign: str):
    """A burst that no agent took ends with a sign of its own."""
    (fate,) = shapes(lane_svg(lane(outcome=outcome), AXIS, WORDS_EN), "fate")
    assert fate.text == sign


def test_hostile_words_stay_words():
    """A reason that nobody knows is text, and no class and no element."""
    svg = lane_svg(lane(reason=HOSTILE, outcome=HOSTILE), AXIS, WORDS_EN)
    assert "<script" not in svg
    assert shapes(svg, "by-other")
    assert any(HOSTILE in (one.text or "") for one in ElementTree.fromstring(svg).iter("title"))


def test_what_is_older_than_the_span_is_left_out():
    """A record that ended before the span has no lane, and a shape outside has no place."""
    assert lanes_of(snapshot(pending=[], ended=[ended(ended_ms=NOW_MS - 61_000)]), 60_000) == []
    svg = lane_svg(lane(opened_ms=NOW_MS - 90_000, arrivals_ms=(0, 1, 80_000)), AXIS, WORDS_EN)
    assert len(shapes(svg, "message")) == 1


def test_lanes_are_bounded_and_the_liveliest_come_first():
    """Each conversation has one lane, with all of its bursts."""
    many = [ended(ref=f"0-{at:016}", ended_ms=NOW_MS - at * 100) for at in range(30)]
    lanes = lanes_of(snapshot(pending=[], ended=many), 60_000)
    assert [one.ref for one in lanes] == [one.ref for one in many[:LANES_MAX]]
    twice = lanes_of(snapshot(pending=[waiting(), waiting()], ended=[ended(), ended()]), 60_000)
    assert [len(one.bursts) for one in twice] == [4]


def test_the_axis_says_how_long_ago():
    """Its last mark is now."""
    found = [one.text for one in ElementTree.fromstring(axis_svg(AXIS, WORDS_EN))]
    assert found == ["−1 min", "−45 s", "−30 s", "−15 s", "now"]


def test_the_bar_of_a_wait_has_two_ends():
    """The cap is its end, and the quiet deadline a mark on it."""
    svg = wait_svg(waiting(), NOW_MS, WORDS_EN)
    (gone,), (quiet,) = shapes(svg, "gone"), shapes(svg, "quiet")
    assert place(gone.get("width")) == pytest.approx(3 / 60, abs=1e-3)
    assert place(quiet.get("x1")) == pytest.approx(9 / 60, abs=1e-3)
    assert wait_svg(waiting(opened_ms=None, cap_ms=None), NOW_MS, WORDS_EN) == ""


def test_the_gaps_have_lines_at_both_windows():
    """A bar for each bucket that counts anything; those beyond the window split turns."""
    tuning = tuning_of(figures(*[10] * 24), FIXED)
    svg = gaps_svg(tuning, WORDS_EN)
    assert len(shapes(svg, "gap")) == 24
    beyond = [bound for bound in tuning.bounds_ms if bound > 8000]
    assert len(shapes(svg, "splits")) == len(beyond)
    (present,) = [one for one in shapes(svg, "present") if one.tag == "line"]
    assert place(present.get("x1")) == pytest.approx(place_of(8), abs=1e-3)


def test_no_drawing_needs_a_style():
    """The policy of the page forbids styles within elements."""
    whole = (
        lane_svg(lane(), AXIS, WORDS_EN)
        + gaps_svg(tuning_of(figures(5, 5), FIXED), WORDS_EN)
        + axis_svg(AXIS, WORDS_EN)
    )
    assert not re.search(r"\sstyle=|<style|\son\w+=", whole)
