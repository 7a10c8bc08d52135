"""Two hundred people at once over four webhook processes and two workers: one call each, nobody early."""

from __future__ import annotations

from collections.abc import Callable

from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import Deployment
from tests.integration.sender import Sender, crowd


def test_two_hundred_people_get_one_call_each(
    start_deployment: Callable[..., Deployment], report: Callable[[Verdict], None]
) -> None:
    """200 bursts of 5 messages, interleaved, make 200 calls with their own 5 messages in order, none early."""
    deployment = start_deployment(message_buffer_timeout=2.0, visibility_time=5.0)
    webhook = deployment.webhook(4)
    deployment.workers(2)
    sender = Sender(webhook)
    sender.play(crowd(200, 5, gap_s=0.3, spread_s=3.0))
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules(window_ms=2000))
    report(verdict)
    assert verdict.problems == []
    assert verdict.one_for_each(200)
    assert verdict.percentile(1) < 5000 + deployment.agent.stalled_ms
