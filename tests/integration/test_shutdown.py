"""Orderly stops: what is in flight is finished or handed back, and whatever got a 2xx is in Redis."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tests.integration.agent import Answer
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import CRASHES, Fleet
from tests.integration.fault_injector import Storm
from tests.integration.polling import until
from tests.integration.processes import Webhook, Worker
from tests.integration.sender import Sender, crowd
from tests.servers import Server

PEOPLE = [f"person-{number}" for number in range(20)]


def in_flight(fleet: Fleet, answer: Answer) -> Worker:
    """A worker with twenty calls under way."""
    fleet.agent.default = answer
    worker = fleet.worker()
    fleet.webhook().post([{"conversation": one, "text": "oi"} for one in PEOPLE])
    until("all calls are under way", lambda: len(fleet.agent.calls) == 20)
    return worker


def test_sigterm_finishes_what_is_in_flight(start_fleet: Callable[..., Fleet]) -> None:
    """The worker waits for its agent's answers, acks them and exits 0."""
    fleet = start_fleet(message_buffer_timeout=0.3)
    worker = in_flight(fleet, Answer(delay_s=2.0))
    worker.terminate()
    assert worker.wait() == 0
    assert fleet.pending() == 0
    assert len(fleet.agent.calls) == 20
    assert fleet.snapshot()["counters"]["acked"] == 20


def test_a_frozen_rq_server_does_not_keep_the_worker(
    start_fleet: Callable[..., Fleet], start_server: Callable[..., Server]
) -> None:
    """RQ's own client waits for almost a minute; the worker finishes its calls and ends without it."""
    other = start_server()
    fleet = start_fleet(message_buffer_timeout=0.3, rq_redis_url=other.url)
    worker = in_flight(fleet, Answer(delay_s=3.0))
    other.freeze()
    worker.terminate()
    assert worker.wait(40.0) == 0
    other.thaw()
    assert fleet.pending() == 0
    assert len(fleet.agent.calls) == 20


def test_a_second_sigterm_hands_back(start_fleet: Callable[..., Fleet]) -> None:
    """In a hurry it gives its batches back at once, without counting an attempt; another worker delivers them."""
    fleet = start_fleet(message_buffer_timeout=0.3, agent_max_attempts=1)
    worker = in_flight(fleet, Answer(held=True))
    worker.terminate()
    until("it begins to stop", lambda: "stopping" in worker.log)
    worker.terminate()
    assert worker.wait() == 0
    assert fleet.pending() == 20
    fleet.agent.release()
    fleet.worker()
    fleet.wait_drained()
    assert len(fleet.agent.calls) == 40
    assert len({(call.key, call.body) for call in fleet.agent.calls}) == 20
    assert sorted(call.attempt for call in fleet.agent.calls) == [1] * 20 + [2] * 20
    assert fleet.snapshot()["dead"] == 0


def test_a_stopping_worker_takes_no_new_bursts(start_fleet: Callable[..., Fleet], peer: str) -> None:
    """What becomes due meanwhile is left in the index, for the next worker."""
    fleet = start_fleet(message_buffer_timeout=0.3)
    worker = in_flight(fleet, Answer(held=True))
    worker.terminate()
    until("it begins to stop", lambda: "stopping" in worker.log)
    fleet.webhook().say(peer, "oi")
    until("the burst is overdue", lambda: fleet.snapshot()["overdue"] == 1)
    fleet.agent.release()
    assert worker.wait() == 0
    assert fleet.agent.calls_of(peer) == []
    fleet.worker()
    fleet.wait_drained()
    assert len(fleet.agent.calls_of(peer)) == 1


def test_what_got_a_2xx_is_in_redis(start_fleet: Callable[..., Fleet]) -> None:
    """A webhook is stopped in mid-traffic: everything it accepted is delivered, although no worker ran then."""
    fleet = start_fleet()
    first, second = fleet.webhook(2), fleet.webhook()
    sender = Sender(first, second)
    with Storm(first.terminate, every_s=1.0):
        sender.play(crowd(40, 5, gap_s=0.4))
    assert first.wait() == 0
    assert sender.statuses[0] > 0
    fleet.worker()
    fleet.wait_drained()
    assert judge(sender.sent, fleet.agent.calls, Rules()).problems == []


def test_a_rolling_restart_under_load(start_fleet: Callable[..., Fleet], report: Callable[[Verdict], None]) -> None:
    """Every process is replaced in turn under load: nothing lost, no effect twice, each exits 0."""
    fleet = start_fleet(**{**CRASHES, "flush_lease": 3.0})
    fleet.agent.default = Answer(delay_s=0.3)
    webhooks, workers = [fleet.webhook(2), fleet.webhook(2)], fleet.workers(2)
    sender = Sender(*webhooks)
    gone: list[Webhook | Worker] = []
    turns = itertools.count()

    def roll() -> None:
        """The new pod is there before the old one is asked to leave."""
        if next(turns) % 2:
            webhooks.append(fleet.webhook(2))
            sender.serve(*webhooks[-2:])
            old: Webhook | Worker = webhooks[-3]
        else:
            workers.append(fleet.worker())
            old = workers[-3]
        old.terminate()
        gone.append(old)

    with Storm(roll, every_s=0.3):
        sender.play(crowd(150, 4, gap_s=0.8, spread_s=7.0))
        until("everything was replaced", lambda: len(gone) >= 4)
    fleet.wait_drained()
    verdict = judge(sender.sent, fleet.agent.calls, Rules())
    report(verdict)
    assert verdict.problems == []
    assert [process.wait() for process in gone] == [0] * len(gone)
