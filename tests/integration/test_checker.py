"""The judge of the integration tests can condemn: each breach, made by hand, is found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.agent import Call
from tests.integration.checker import Rules, judge
from tests.integration.sender import Sent

START_MS = 1_700_000_000_000.0
WINDOW_MS = 1000
AGAIN = Rules(repeats=True)


def said(peer: str, *ids: str, acked: bool = True) -> list[Sent]:
    """Messages of a person, acknowledged unless told otherwise."""
    return [Sent(peer, message_id, START_MS if acked else None) for message_id in ids]


def call(peer: str, *ids: str, at_ms: float = WINDOW_MS, attempt: int = 1, **changes: Any) -> Call:
    """A call that is as it should be: messages 100 ms apart, the last one window before the call."""
    arrived_ms = START_MS + at_ms
    last_ms = arrived_ms - WINDOW_MS
    received = [last_ms - 100 * (len(ids) - 1 - place) for place in range(len(ids))]
    content = {
        "flush_id": changes.get("key", f"flush-{ids[0]}"),
        "reason": changes.get("reason", "quiet"),
        "conversation": {"id": peer},
        "messages": [
            {"message_id": message_id, "received_ms": ms} for message_id, ms in zip(ids, received, strict=True)
        ],
        "opened_ms": received[0],
        "closed_ms": arrived_ms,
        **changes.get("content", {}),
    }
    headers = {"Idempotency-Key": changes.get("key", f"flush-{ids[0]}"), "Debouncer-Attempt": str(attempt)}
    ended_ms = arrived_ms + changes.get("takes_ms", 10)
    return Call(arrived_ms, headers, json.dumps(content).encode(), ended_ms=ended_ms)


def again(first: Call, after_ms: float, attempt: int = 2, **changes: Any) -> Call:
    """The same call once more, `after_ms` later."""
    headers = {**first.headers, "Debouncer-Attempt": str(attempt)}
    arrived_ms = first.arrived_ms + after_ms
    return Call(arrived_ms, headers, changes.get("body", first.body), ended_ms=arrived_ms + 10)


def problems(sent: list[Sent], calls: list[Call], rules: Rules | None = None) -> str:
    """What the judge finds, in one text."""
    return "\n".join(judge(sent, calls, rules or Rules()).problems)


GOOD = [call("ana", "a1", "a2"), call("bia", "b1", at_ms=1500), call("ana", "a3", at_ms=5000)]
ALL_SAID = said("ana", "a1", "a2", "a3") + said("bia", "b1")


def test_a_good_run_passes() -> None:
    """Nothing is found where nothing is wrong, and each flush counts once."""
    verdict = judge(ALL_SAID, GOOD, Rules())
    assert verdict.problems == []
    assert verdict.flushes == 3
    assert verdict.late_ms == [0, 0, 0]


def test_the_calls_may_be_recorded_in_any_order() -> None:
    """Only the time of arrival counts, not the place in the log."""
    assert problems(ALL_SAID, GOOD[::-1]) == ""


def test_a_lost_message_is_found() -> None:
    """An acknowledged message that no call carries is a loss."""
    assert "a3 of ana was acknowledged and never delivered" in problems(ALL_SAID, GOOD[:2])


def test_a_message_without_an_answer_may_be_missing_or_there() -> None:
    """What got no 2xx has no promise either way."""
    assert problems(said("ana", "a1") + said("ana", "a2", acked=False), [call("ana", "a1")]) == ""
    assert problems(said("ana", "a1") + said("ana", "a2", acked=False), [call("ana", "a1", "a2")]) == ""


def test_a_message_in_two_flushes_is_found() -> None:
    """One message under two keys was answered twice."""
    twice = [call("ana", "a1"), call("ana", "a1", at_ms=5000, key="other")]
    assert "a1 is in two flushes" in problems(said("ana", "a1"), twice)


def test_a_message_twice_in_one_flush_is_found() -> None:
    """A duplicate inside a batch is found too."""
    assert "a1 is in two flushes" in problems(said("ana", "a1"), [call("ana", "a1", "a1")])


def test_a_message_of_somebody_else_is_found() -> None:
    """A message in another person's call is a leak."""
    sent = said("ana", "a1") + said("bia", "b1")
    found = problems(sent, [call("ana", "a1", "b1")])
    assert "ana never said b1" in found
    assert "b1 of bia was acknowledged and never delivered" in found


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([call("ana", "a2", "a1")], id="in one flush"),
        pytest.param([call("ana", "a2"), call("ana", "a1", at_ms=5000)], id="over two flushes"),
    ],
)
def test_a_wrong_order_is_found(calls: list[Call]) -> None:
    """Messages keep the order in which they were said."""
    assert "a1 of ana is out of order" in problems(said("ana", "a1", "a2"), calls)


def test_a_repeated_call_needs_a_reason() -> None:
    """The same key again is wrong in a run without crashes, and right in one with them."""
    first = call("ana", "a1")
    calls = [first, again(first, 2000)]
    assert "called again without a reason" in problems(said("ana", "a1"), calls)
    assert problems(said("ana", "a1"), calls, AGAIN) == ""


def test_another_body_under_the_same_key_is_found() -> None:
    """One key is one body, byte for byte, even when the JSON means the same."""
    first = call("ana", "a1")
    spaced = first.body.replace(b": ", b":  ")
    assert "two different bodies" in problems(said("ana", "a1"), [first, again(first, 2000, body=spaced)], AGAIN)


@pytest.mark.parametrize("attempt", [1, 2])
def test_attempts_must_grow(attempt: int) -> None:
    """The attempt number of a repeated call is higher than the one before."""
    first = call("ana", "a1", attempt=2)
    found = problems(said("ana", "a1"), [first, again(first, 2000, attempt)], AGAIN)
    assert f"attempt {attempt} came after 2" in found


def test_a_key_that_is_not_the_flush_id_is_found() -> None:
    """The header and the body name the same flush."""
    wrong = call("ana", "a1", content={"flush_id": "something else"})
    assert "carries flush_id something else" in problems(said("ana", "a1"), [wrong])


@pytest.mark.parametrize("takes_ms", [5000, 4001])
def test_two_calls_at_once_are_found(takes_ms: float) -> None:
    """A conversation's next call begins when the one before is over."""
    calls = [call("ana", "a1", takes_ms=takes_ms), call("ana", "a2", at_ms=5000)]
    assert "ana had two calls at once" in problems(said("ana", "a1", "a2"), calls)


def test_a_call_that_never_ended_is_still_under_way() -> None:
    """Without an end a call overlaps with whatever follows."""
    first = call("ana", "a1")
    first.ended_ms = None
    assert "two calls at once" in problems(said("ana", "a1", "a2"), [first, call("ana", "a2", at_ms=5000)])


def test_two_people_may_be_served_at_once() -> None:
    """Only calls of the same conversation exclude each other."""
    calls = [call("ana", "a1", takes_ms=5000), call("bia", "b1", at_ms=1500)]
    assert problems(said("ana", "a1") + said("bia", "b1"), calls) == ""


def test_an_early_arrival_is_found() -> None:
    """A call that arrives before the last message's window is over is early, if only by a millisecond."""
    early = call("ana", "a1")
    early.arrived_ms -= 1
    assert "1 ms before its deadline" in problems(said("ana", "a1"), [early])


def test_an_early_seal_is_found() -> None:
    """A batch that was closed too soon is early even if the call arrived late."""
    sealed = call("ana", "a1", content={"closed_ms": START_MS + WINDOW_MS - 1})
    assert "before its deadline" in problems(said("ana", "a1"), [sealed])


def test_the_longest_wait_is_a_deadline_too() -> None:
    """A burst without a pause is not early once it is as old as the longest wait."""
    rules = Rules(max_wait_ms=300)
    burst = call("ana", "a1", "a2", at_ms=1000, reason="max_wait", content={"closed_ms": START_MS + 200})
    assert problems(said("ana", "a1", "a2"), [burst], rules) == ""
    burst.arrived_ms = START_MS + 199
    assert "before its deadline" in problems(said("ana", "a1", "a2"), [burst], rules)


def test_a_cap_is_never_early() -> None:
    """A burst that was closed by its size does not wait for the window."""
    full = call("ana", "a1", reason="max_messages")
    full.arrived_ms -= 900
    assert problems(said("ana", "a1"), [full]) == ""


def test_a_message_left_out_of_its_burst_is_found() -> None:
    """What came before a burst's deadline belongs to it, not to the next flush."""
    first, second = call("ana", "a1"), call("ana", "a2", at_ms=1500)
    assert "came before the deadline of the flush before it" in problems(said("ana", "a1", "a2"), [first, second])


def test_lateness_counts_from_the_end_of_the_call_before() -> None:
    """A burst that waited behind a call is late by what came after that call."""
    behind = call("ana", "a2", at_ms=3000)
    behind.arrived_ms += 2500
    verdict = judge(said("ana", "a1", "a2"), [call("ana", "a1", takes_ms=4000), behind], Rules())
    assert verdict.problems == []
    assert verdict.late_ms == [0, 500]


def test_a_burst_may_only_be_divided_where_its_person_paused() -> None:
    """Two flushes of one person are one too many, unless a window passed between two messages."""
    verdict = judge(said("ana", "a1", "a2"), [call("ana", "a1"), call("ana", "a2", at_ms=1900)], Rules())
    assert (verdict.flushes, verdict.pauses, verdict.one_for_each(1)) == (2, 0, False)
    verdict = judge(said("ana", "a1", "a2"), [call("ana", "a1"), call("ana", "a2", at_ms=2000)], Rules())
    assert (verdict.flushes, verdict.pauses, verdict.one_for_each(1)) == (2, 1, True)
    assert not verdict.one_for_each(3)


def test_percentiles_are_of_the_lateness() -> None:
    """p50, p99 and the worst of known numbers."""
    verdict = judge([], [], Rules())
    assert verdict.percentile(0.99) == 0
    verdict.late_ms = [float(ms) for ms in range(100, 0, -1)]
    assert (verdict.percentile(0.5), verdict.percentile(0.99), verdict.percentile(1)) == (51, 100, 100)


RESTARTS = Rules(restarts_max=2)


def restarted(peer: str, *ids: str, at_ms: float, supersedes: list[str], **changes: Any) -> Call:
    """A call that takes the place of others."""
    return call(peer, *ids, at_ms=at_ms, content={"supersedes": supersedes}, **changes)


def test_a_good_run_with_restarts_passes() -> None:
    """A flush that was taken back twice is answered once; the calls before it count for themselves."""
    calls = [
        call("ana", "a1", key="f1"),
        restarted("ana", "a1", "a2", at_ms=2500, supersedes=["f1"], key="f2"),
        restarted("ana", "a1", "a2", "a3", at_ms=4500, supersedes=["f1", "f2"], key="f3"),
    ]
    verdict = judge(said("ana", "a1", "a2", "a3"), calls, RESTARTS)
    assert verdict.problems == []
    assert (verdict.flushes, verdict.superseded) == (1, 2)
    assert "a1 is in two flushes" in problems(
        said("ana", "a1", "a2"), [call("ana", "a1"), call("ana", "a1", "a2", at_ms=2500, key="f2")], RESTARTS
    )


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([restarted("ana", "a1", at_ms=2500, supersedes=["f1"])], "taken back 1 times"),
        ([restarted("ana", "a1", at_ms=2500, supersedes=[])], "supersedes nothing and says so"),
    ],
)
def test_a_restart_where_there_is_none_is_found(calls: list[Call], found: str) -> None:
    """A route that does not restart takes nothing back, and an empty list is not sent."""
    assert found in problems(said("ana", "a1"), calls)


@pytest.mark.parametrize(
    ("second", "found"),
    [
        ({"ids": ("a1", "a2"), "supersedes": ["f1", "f1"]}, "supersedes a flush twice, or itself"),
        ({"ids": ("a1", "a2"), "supersedes": ["f2"]}, "supersedes a flush twice, or itself"),
        ({"ids": ("a2",), "supersedes": ["f1"]}, "lacks messages of f1"),
        ({"ids": ("a1", "a2"), "supersedes": ["f0", "f1"]}, "does not tell of all that f1 supersedes"),
        ({"ids": ("a1", "a2"), "supersedes": ["f1"], "at_ms": 900}, "was called after f2, which supersedes it"),
        ({"ids": ("a1", "a2"), "supersedes": ["f1"], "peer": "bia"}, "of another person"),
        ({"ids": ("a1", "a2"), "supersedes": ["x", "y", "f1"]}, "was taken back 3 times"),
    ],
)
def test_a_bad_chain_is_found(second: dict[str, Any], found: str) -> None:
    """Chains are complete, of one person, within their bound, and take no message away."""
    more = {"at_ms": 2500.0, "peer": "ana", **second}
    calls = [
        call("ana", "a1", key="f1"),
        restarted(more["peer"], *more["ids"], at_ms=more["at_ms"], supersedes=more["supersedes"], key="f2"),
    ]
    assert found in problems(said("ana", "a1", "a2"), calls, RESTARTS)


def test_two_successors_are_found() -> None:
    """A flush goes back into one burst."""
    calls = [
        call("ana", "a1", key="f1"),
        restarted("ana", "a1", "a2", at_ms=2500, supersedes=["f1"], key="f2"),
        restarted("ana", "a1", "a2", at_ms=5000, supersedes=["f1"], key="f3"),
    ]
    assert "f1 has two successors" in problems(said("ana", "a1", "a2"), calls, RESTARTS)


def test_a_wait_beyond_the_longest_is_found() -> None:
    """The longest wait counts from the first message, whatever was taken back since."""
    long = restarted("ana", "a1", "a2", at_ms=25_000, supersedes=["f1"])
    long.content["opened_ms"] = START_MS
    assert "waited for longer than the longest wait" in problems(said("ana", "a1", "a2"), [long], RESTARTS)
