"""Redis stands still with its connections open, three times in mid-traffic, and then goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.integration.agent import Answer
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import Deployment
from tests.integration.fault_injector import FaultInjector
from tests.integration.polling import until
from tests.integration.sender import Sender, crowd, waves
from tests.servers import Server

PEOPLE = 20
WINDOW_S = 0.5
LEASE_S = 1.5
STOPS_S = (2.5, 0.7)
"""Longer and shorter than the webhook waits for Redis (1.7 s)."""

HELD = {said.peer for said in crowd(PEOPLE, 1, gap_s=0) if said.peer.endswith(("0", "5"))}
"""People whose first calls are answered when the first stop is over."""


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """A server that answers nothing while the body runs."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


class Stops:
    """Three stops of the server, the first until the workers have given up the calls that they hold."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._stops = iter((self._outlast_leases, *(lambda stop_s=stop_s: self._stop(stop_s) for stop_s in STOPS_S)))
        self.count = 1 + len(STOPS_S)

    def next(self) -> None:
        """Stop the server once more, if a stop is left."""
        if (stop := next(self._stops, None)) is not None:
            stop()

    def _outlast_leases(self) -> None:
        until("held calls are under way", lambda: len(self._held()) >= 2)
        with frozen(self._deployment.server):
            until("their leases are over", lambda: not self._held())
        self._deployment.agent.release()

    def _stop(self, stop_s: float) -> None:
        until("a call is under way", self._deployment.agent.under_way)
        with frozen(self._deployment.server):
            time.sleep(stop_s)

    def _held(self) -> list[str]:
        return [call.peer for call in self._deployment.agent.under_way() if call.peer in HELD]


def test_a_redis_that_stands_still_loses_and_doubles_nothing(
    start_deployment: Callable[..., Deployment], report: Callable[[Verdict], None]
) -> None:
    """Each message that got a 2xx reaches the agent in one flush, and every other post got a 503."""
    leases = {"flush_lease": LEASE_S, "flush_renew_interval": LEASE_S / 3, "visibility_time": 1.0}
    deployment = start_deployment(message_buffer_timeout=WINDOW_S, **leases)
    deployment.agent.default = Answer(delay_s=1.0)
    for one in HELD:
        deployment.agent.answer(one, Answer(held=True))
    webhook, workers = deployment.webhook(2), deployment.workers(2)
    pids = webhook.pids()
    sender, stops = Sender(webhook), Stops(deployment)
    with FaultInjector(stops.next, every_s=0.2) as storm:
        sender.play_until(lambda: storm.has_injected(stops.count), waves(PEOPLE, 3, gap_s=0.3, spread_s=0.7))
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules(window_ms=int(WINDOW_S * 1000), repeats=True))
    report(verdict)
    print(f"{verdict.flushes} flushes, {len(deployment.agent.calls)} calls, answers to posts: {dict(sender.statuses)}")
    assert verdict.problems == []
    assert len(deployment.agent.calls) > verdict.flushes
    assert set(sender.statuses) == {200, 503}
    assert deployment.snapshot()["dead"] == 0
    assert all(worker.alive for worker in workers)
    assert webhook.pids() == pids
