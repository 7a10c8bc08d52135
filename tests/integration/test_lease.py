"""The lease: kept while the agent thinks, lost by a worker that stands still, and what such a zombie may do."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.integration.agent import Answer
from tests.integration.deployment import CRASHES, Deployment, person
from tests.integration.polling import until
from tests.integration.processes import Worker
from tests.messages import message

REPLY = b'{"reply": "pronto"}'


def test_a_slow_agent_is_called_once(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """The agent takes five leases: they are renewed, and the other worker does not call."""
    deployment = start_deployment(message_buffer_timeout=0.3, **CRASHES)
    deployment.agent.answer(peer, Answer(200, REPLY, "application/json", delay_s=7.5))
    webhook = deployment.webhook()
    deployment.workers(2)
    webhook.say(peer, "oi")
    deployment.wait_calls(peer)
    deployment.wait_drained()
    (call,) = deployment.agent.calls
    assert call.attempt == 1
    assert deployment.counters()["acked"] == 1


def frozen_in_a_call(deployment: Deployment, peer: str) -> Worker:
    """A worker that is stopped (SIGSTOP) while the agent holds its call."""
    deployment.agent.answer(
        peer, Answer(200, REPLY, "application/json", held=True), Answer(200, REPLY, "application/json")
    )
    zombie = deployment.worker()
    deployment.webhook().say(peer, "oi", message_id="m1")
    deployment.wait_calls(peer)
    zombie.signal(signal.SIGSTOP)
    return zombie


@pytest.mark.parametrize("answered", [True, False], ids=["with an answer", "still waiting"])
def test_a_zombie_changes_nothing(start_deployment: Callable[..., Deployment], peer: str, answered: bool) -> None:
    """Another worker takes over with the same key; the one that wakes up neither acks, nor answers, nor calls."""
    deployment = start_deployment(message_buffer_timeout=0.3, **CRASHES)
    zombie = frozen_in_a_call(deployment, peer)
    if answered:
        deployment.agent.release()
        until("the zombie has an answer waiting", lambda: deployment.agent.calls[0].ended_ms)
    deployment.worker()
    deployment.wait_calls(peer, 2)
    deployment.wait_drained()
    deployment.ask(lambda store: store.pause(person(peer)))
    deployment.ask(lambda store: store.append([message("m2", person(peer))]))
    before = deployment.conversation(peer)
    zombie.signal(signal.SIGCONT)
    until("the zombie gave up", lambda: any(line.get("outcome") == "lost" for line in zombie.log_lines()))
    assert deployment.conversation(peer) == before
    deployment.ask(lambda store: store.resume(person(peer)))
    deployment.wait_calls(peer, 3)
    deployment.wait_drained()
    first, second, third = deployment.agent.calls
    assert (first.key, first.body) == (second.key, second.body)
    assert [first.attempt, second.attempt, third.attempt] == [1, 2, 1]
    assert (third.ids, third.key == first.key) == (["m2"], False)
    assert deployment.counters()["acked"] == 2


def test_a_zombie_of_a_batch_still_in_flight(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """It wakes up while the other worker's call is under way: that lease stays, and its answer counts."""
    deployment = start_deployment(message_buffer_timeout=0.3, **CRASHES)
    deployment.agent.answer(peer, Answer(held=True))
    zombie = deployment.worker()
    deployment.webhook().say(peer, "oi", message_id="m1")
    deployment.wait_calls(peer)
    zombie.signal(signal.SIGSTOP)
    deployment.worker()
    deployment.wait_calls(peer, 2)
    token = deployment.conversation(peer)["token"]
    zombie.signal(signal.SIGCONT)
    until("the zombie gave up", lambda: any(line.get("outcome") == "lost" for line in zombie.log_lines()))
    assert deployment.conversation(peer)["token"] == token
    deployment.agent.release()
    deployment.wait_drained()
    assert [call.attempt for call in deployment.agent.calls] == [1, 2]
    assert len(deployment.agent.flushes()) == 1
    assert deployment.counters()["acked"] == 1


def test_a_message_during_a_call_waits_behind_it(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """It is neither joined to the call under way nor sent beside it: it comes after, as a burst of its own."""
    deployment = start_deployment(message_buffer_timeout=0.3)
    deployment.agent.answer(peer, Answer(held=True), Answer())
    webhook = deployment.webhook(2)
    deployment.workers(2)
    webhook.say(peer, "um", message_id="m1")
    deployment.wait_calls(peer)
    webhook.say(peer, "dois", message_id="m2")
    deadline_ms = int(deployment.conversation(peer)["deadline_ms"])
    until("the second burst is overdue", lambda: deployment.snapshot()["now_ms"] > deadline_ms + 1000)
    assert len(deployment.agent.calls) == 1
    deployment.agent.release()
    deployment.wait_drained()
    first, second = deployment.agent.calls
    assert [first.ids, second.ids] == [["m1"], ["m2"]]
    assert first.ended_ms is not None
    assert second.arrived_ms >= first.ended_ms
