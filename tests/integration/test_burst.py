"""Two hundred people at once over four webhook processes and two workers: one call each, nobody early."""

from __future__ import annotations

from collections.abc import Callable

from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import Fleet
from tests.integration.sender import Sender, crowd


def test_two_hundred_people_get_one_call_each(
    start_fleet: Callable[..., Fleet], report: Callable[[Verdict], None]
) -> None:
    """200 bursts of 5 messages, interleaved, make 200 calls with their own 5 messages in order, none early."""
    fleet = start_fleet(message_buffer_timeout=2.0, visibility_time=5.0)
    webhook = fleet.webhook(4)
    fleet.workers(2)
    sender = Sender(webhook)
    sender.play(crowd(200, 5, gap_s=0.3, spread_s=3.0))
    fleet.wait_drained()
    verdict = judge(sender.sent, fleet.agent.calls, Rules(window_ms=2000))
    report(verdict)
    assert verdict.problems == []
    assert verdict.one_for_each(200)
    assert verdict.percentile(1) < 5000 + fleet.agent.stalled_ms
