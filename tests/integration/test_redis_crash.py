"""Redis is killed in mid-traffic and comes back from its append-only file."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest

from tests.integration.agent import Answer
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import Deployment
from tests.integration.fault_injector import FaultInjector
from tests.integration.sender import Sender, waves
from tests.servers import Server

AWAY_S = (0.5, 2.5)
"""Once shorter than the webhook waits for Redis, once longer."""

CRASHES = 2


@pytest.mark.parametrize("durability", ["memory", "disk"])
def test_a_redis_crash_loses_nothing_that_was_acknowledged(
    start_deployment: Callable[..., Deployment],
    start_server: Callable[..., Server],
    report: Callable[[Verdict], None],
    durability: str,
) -> None:
    """kill -9 with appendfsync always, again and again: no loss, and the worker and webhook processes live on."""
    server = start_server(appendonly="yes", appendfsync="always")
    deployment = start_deployment(server, durability=durability)
    deployment.agent.default = Answer(delay_s=0.3)
    webhook, workers = deployment.webhook(2), deployment.workers(2)
    pids = webhook.pids()
    sender = Sender(webhook)

    away_s = itertools.cycle(AWAY_S)

    def crash() -> None:
        server.kill()
        time.sleep(next(away_s))
        server.restart()

    with FaultInjector(crash, every_s=1.2) as storm:
        sender.play_until(lambda: storm.has_injected(CRASHES), waves(60, 5, gap_s=0.6, spread_s=3.0))
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules(repeats=True))
    report(verdict)
    print(f"{storm.injections} crashes, {len(deployment.agent.calls)} calls, answers to posts: {dict(sender.statuses)}")
    assert verdict.problems == []
    assert all(worker.alive for worker in workers)
    assert webhook.pids() == pids
