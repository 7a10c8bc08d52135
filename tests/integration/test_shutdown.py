"""Orderly stops: what is in flight is finished or handed back, and whatever got a 2xx is in Redis."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from buffer.keys import Keys
from tests.integration.agent import Answer
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import CRASHES, Deployment
from tests.integration.fault_injector import FaultInjector
from tests.integration.polling import until
from tests.integration.processes import Webhook, Worker
from tests.integration.sender import Sender, crowd, waves
from tests.servers import Server

PEOPLE = [f"person-{number}" for number in range(20)]


def in_flight(deployment: Deployment, answer: Answer) -> Worker:
    """A worker with twenty calls under way."""
    deployment.agent.default = answer
    worker = deployment.worker()
    deployment.webhook().post([{"conversation": one, "text": "oi"} for one in PEOPLE])
    until("all calls are under way", lambda: len(deployment.agent.calls) == 20)
    return worker


def test_sigterm_finishes_what_is_in_flight(start_deployment: Callable[..., Deployment]) -> None:
    """The worker waits for its agent's answers, acks them and exits 0."""
    deployment = start_deployment(message_buffer_timeout=0.3)
    worker = in_flight(deployment, Answer(delay_s=2.0))
    worker.terminate()
    assert worker.wait() == 0
    assert deployment.pending() == 0
    assert len(deployment.agent.calls) == 20
    assert deployment.counters()["acked"] == 20


def test_a_restart_with_another_agent_is_no_second_deployment(start_deployment: Callable[..., Deployment]) -> None:
    """A worker that stops in order has signed off: the next one with another AGENT_URL warns of nobody."""
    deployment = start_deployment()
    first = deployment.worker()
    until("it has announced itself", lambda: deployment.redis.exists(Keys("deb").of(0, "owners")))
    first.terminate()
    assert first.wait() == 0
    second = deployment.worker(agent_url="http://127.0.0.1:9/other")
    until("it has announced itself", lambda: deployment.redis.exists(Keys("deb").of(0, "owners")))
    second.terminate()
    assert second.wait() == 0
    assert "another AGENT_URL" not in second.log


def test_a_frozen_rq_server_does_not_keep_the_worker(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server]
) -> None:
    """RQ's own client waits for almost a minute; the worker finishes its calls and ends without it."""
    other = start_server()
    deployment = start_deployment(message_buffer_timeout=0.3, rq_redis_url=other.url)
    worker = in_flight(deployment, Answer(delay_s=3.0))
    other.freeze()
    worker.terminate()
    assert worker.wait(40.0) == 0
    other.thaw()
    assert deployment.pending() == 0
    assert len(deployment.agent.calls) == 20


def test_a_second_sigterm_hands_back(start_deployment: Callable[..., Deployment]) -> None:
    """In a hurry it gives its batches back at once, without counting an attempt; another worker delivers them."""
    deployment = start_deployment(message_buffer_timeout=0.3, agent_max_attempts=1)
    worker = in_flight(deployment, Answer(held=True))
    worker.terminate()
    until("it begins to stop", lambda: "stopping" in worker.log)
    worker.terminate()
    assert worker.wait() == 0
    assert deployment.pending() == 20
    deployment.agent.release()
    deployment.worker()
    deployment.wait_drained()
    assert len(deployment.agent.calls) == 40
    assert len({(call.key, call.body) for call in deployment.agent.calls}) == 20
    assert sorted(call.attempt for call in deployment.agent.calls) == [1] * 20 + [2] * 20
    assert deployment.snapshot()["dead"] == 0


def test_a_second_sigterm_and_calls_that_must_not_be_repeated(start_deployment: Callable[..., Deployment]) -> None:
    """With AGENT_REPEAT=never a call that is cut short may have run: it is a dead letter, and nobody is asked twice."""
    deployment = start_deployment(message_buffer_timeout=0.3, agent_repeat="never")
    worker = in_flight(deployment, Answer(held=True))
    worker.terminate()
    until("it begins to stop", lambda: "stopping" in worker.log)
    worker.terminate()
    assert worker.wait() == 0
    deployment.agent.release()
    deployment.worker()
    deployment.wait_drained()
    assert len(deployment.agent.calls) == 20
    assert deployment.snapshot()["dead"] == 20
    assert "the agent may have run" in worker.log


def test_a_stopping_worker_takes_no_new_bursts(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """What becomes due meanwhile is left in the index, for the next worker."""
    deployment = start_deployment(message_buffer_timeout=0.3)
    worker = in_flight(deployment, Answer(held=True))
    worker.terminate()
    until("it begins to stop", lambda: "stopping" in worker.log)
    deployment.webhook().say(peer, "oi")
    until("the burst is overdue", lambda: deployment.snapshot()["overdue"] == 1)
    deployment.agent.release()
    assert worker.wait() == 0
    assert deployment.agent.calls_of(peer) == []
    deployment.worker()
    deployment.wait_drained()
    assert len(deployment.agent.calls_of(peer)) == 1


def test_what_got_a_2xx_is_in_redis(start_deployment: Callable[..., Deployment]) -> None:
    """A webhook is stopped in mid-traffic: everything it accepted is delivered, although no worker ran then."""
    deployment = start_deployment()
    first, second = deployment.webhook(2), deployment.webhook()
    sender = Sender(first, second)
    with FaultInjector(first.terminate, every_s=1.0):
        sender.play_until(lambda: sender.statuses[0] > 0, waves(40, 5, gap_s=0.4))
    assert first.wait() == 0
    deployment.worker()
    deployment.wait_drained()
    assert judge(sender.sent, deployment.agent.calls, Rules()).problems == []


def test_a_rolling_restart_under_load(
    start_deployment: Callable[..., Deployment], report: Callable[[Verdict], None]
) -> None:
    """Every process is replaced in turn under load: nothing lost, no effect twice, each exits 0."""
    deployment = start_deployment(**{**CRASHES, "flush_lease": 3.0})
    deployment.agent.default = Answer(delay_s=0.3)
    webhooks, workers = [deployment.webhook(2), deployment.webhook(2)], deployment.workers(2)
    sender = Sender(*webhooks)
    gone: list[Webhook | Worker] = []
    turns = itertools.count()

    def roll() -> None:
        """The new pod is there before the old one is asked to leave."""
        if next(turns) % 2:
            webhooks.append(deployment.webhook(2))
            sender.serve(*webhooks[-2:])
            old: Webhook | Worker = webhooks[-3]
        else:
            workers.append(deployment.worker())
            old = workers[-3]
        old.terminate()
        gone.append(old)

    with FaultInjector(roll, every_s=0.3):
        sender.play(crowd(150, 4, gap_s=0.8, spread_s=7.0))
        until("everything was replaced", lambda: len(gone) >= 4)
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules())
    report(verdict)
    assert verdict.problems == []
    assert [process.wait() for process in gone] == [0] * len(gone)
