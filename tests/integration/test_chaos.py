"""Processes are killed all the time while hundreds of people write: every message is in exactly one flush."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Callable

from tests.integration.agent import Answer
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import Deployment
from tests.integration.fault_injector import FaultInjector
from tests.integration.processes import Webhook, Worker
from tests.integration.sender import Sender, waves

KILLED = Rules(repeats=True)
STRIKES = 6


class Reaper:
    """Kills, in turn, a flush worker (and starts another) and a uvicorn worker (its parent starts another)."""

    def __init__(self, deployment: Deployment, webhook: Webhook, workers: list[Worker]) -> None:
        self._fleet = deployment
        self._webhook = webhook
        self._workers = workers
        self._turns = itertools.count()

    def inject(self) -> None:
        """kill -9 one of each; meant to be called every second."""
        self._workers.pop(0).kill()
        self._workers.append(self._fleet.worker(ready=False))
        if next(self._turns) % 2:
            alive = self._webhook.pids()[-self._webhook.workers :]
            with contextlib.suppress(ProcessLookupError):
                os.kill(alive[0], signal.SIGKILL)


def test_killed_processes_lose_and_repeat_nothing(
    start_deployment: Callable[..., Deployment], report: Callable[[Verdict], None]
) -> None:
    """A worker dies every second and a webhook process every other: one flush a message, same key and body again."""
    deployment = start_deployment(flush_lease=3.0, flush_renew_interval=1.0, visibility_time=2.0)
    deployment.agent.default = Answer(delay_s=0.3)
    webhook = deployment.webhook(4)
    reaper = Reaper(deployment, webhook, deployment.workers(2))
    sender = Sender(webhook)
    with FaultInjector(reaper.inject, every_s=1.0) as storm:
        sender.play_until(lambda: storm.has_injected(STRIKES), waves(200, 5, gap_s=0.6, spread_s=6.0))
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, KILLED)
    report(verdict)
    print(f"{storm.injections} strikes, {len(deployment.agent.calls)} calls, answers to posts: {dict(sender.statuses)}")
    assert verdict.problems == []
    assert deployment.snapshot()["pending"] == 0
    assert deployment.snapshot()["dead"] == 0
