"""Processes are killed all the time while two hundred people write: every message in exactly one flush."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Callable

from tests.integration.agent import Answer
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import Fleet
from tests.integration.fault_injector import Storm
from tests.integration.processes import Webhook, Worker
from tests.integration.sender import Sender, crowd

KILLED = Rules(repeats=True)


class Reaper:
    """Kills, in turn, a flush worker (and starts another) and a uvicorn worker (its parent starts another)."""

    def __init__(self, fleet: Fleet, webhook: Webhook, workers: list[Worker]) -> None:
        self._fleet = fleet
        self._webhook = webhook
        self._workers = workers
        self._turns = itertools.count()

    def strike(self) -> None:
        """kill -9 one of each; meant to be called every second."""
        self._workers.pop(0).kill()
        self._workers.append(self._fleet.worker(ready=False))
        if next(self._turns) % 2:
            alive = self._webhook.pids()[-self._webhook.workers :]
            with contextlib.suppress(ProcessLookupError):
                os.kill(alive[0], signal.SIGKILL)


def test_killed_processes_lose_and_repeat_nothing(
    start_fleet: Callable[..., Fleet], report: Callable[[Verdict], None]
) -> None:
    """A worker dies every second and a webhook process every other: one flush a message, same key and body again."""
    fleet = start_fleet(flush_lease=3.0, flush_renew_interval=1.0, visibility_time=2.0)
    fleet.agent.default = Answer(delay_s=0.3)
    webhook = fleet.webhook(4)
    reaper = Reaper(fleet, webhook, fleet.workers(2))
    sender = Sender(webhook)
    with Storm(reaper.strike, every_s=1.0) as storm:
        sender.play(crowd(200, 5, gap_s=0.6, spread_s=6.0))
    fleet.wait_drained()
    verdict = judge(sender.sent, fleet.agent.calls, KILLED)
    report(verdict)
    print(f"{storm.strikes} strikes, {len(fleet.agent.calls)} calls, answers to posts: {dict(sender.statuses)}")
    assert storm.strikes > 5
    assert verdict.problems == []
    assert fleet.snapshot()["pending"] == 0
    assert fleet.snapshot()["dead"] == 0
