"""The lease: kept while the agent thinks, lost by a worker that stands still, and what such a zombie may do."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.integration.agent import Answer
from tests.integration.deployment import CRASHES, Fleet, person
from tests.integration.polling import until
from tests.integration.processes import Worker
from tests.messages import message

REPLY = b'{"reply": "pronto"}'


def test_a_slow_agent_is_called_once(start_fleet: Callable[..., Fleet], peer: str) -> None:
    """The agent takes five leases: they are renewed, and the other worker does not call."""
    fleet = start_fleet(message_buffer_timeout=0.3, **CRASHES)
    fleet.agent.answer(peer, Answer(200, REPLY, "application/json", delay_s=7.5))
    webhook = fleet.webhook()
    fleet.workers(2)
    webhook.say(peer, "oi")
    fleet.wait_calls(peer)
    fleet.wait_drained()
    (call,) = fleet.agent.calls
    assert call.attempt == 1
    assert fleet.snapshot()["counters"]["acked"] == 1


def frozen_in_a_call(fleet: Fleet, peer: str) -> Worker:
    """A worker that is stopped (SIGSTOP) while the agent holds its call."""
    fleet.agent.answer(peer, Answer(200, REPLY, "application/json", held=True), Answer(200, REPLY, "application/json"))
    zombie = fleet.worker()
    fleet.webhook().say(peer, "oi", message_id="m1")
    fleet.wait_calls(peer)
    zombie.signal(signal.SIGSTOP)
    return zombie


@pytest.mark.parametrize("answered", [True, False], ids=["with an answer", "still waiting"])
def test_a_zombie_changes_nothing(start_fleet: Callable[..., Fleet], peer: str, answered: bool) -> None:
    """Another worker takes over with the same key; the one that wakes up neither acks, nor answers, nor calls."""
    fleet = start_fleet(message_buffer_timeout=0.3, **CRASHES)
    zombie = frozen_in_a_call(fleet, peer)
    if answered:
        fleet.agent.release()
        until("the zombie has an answer waiting", lambda: fleet.agent.calls[0].ended_ms)
    fleet.worker()
    fleet.wait_calls(peer, 2)
    fleet.wait_drained()
    fleet.ask(lambda store: store.pause(person(peer)))
    fleet.ask(lambda store: store.append([message("m2", person(peer))]))
    before = fleet.conversation(peer)
    zombie.signal(signal.SIGCONT)
    until("the zombie gave up", lambda: any(line.get("outcome") == "lost" for line in zombie.log_lines()))
    assert fleet.conversation(peer) == before
    fleet.ask(lambda store: store.resume(person(peer)))
    fleet.wait_calls(peer, 3)
    fleet.wait_drained()
    first, second, third = fleet.agent.calls
    assert (first.key, first.body) == (second.key, second.body)
    assert [first.attempt, second.attempt, third.attempt] == [1, 2, 1]
    assert (third.ids, third.key == first.key) == (["m2"], False)
    assert fleet.snapshot()["counters"]["acked"] == 2


def test_a_zombie_of_a_batch_still_in_flight(start_fleet: Callable[..., Fleet], peer: str) -> None:
    """It wakes up while the other worker's call is under way: that lease stays, and its answer counts."""
    fleet = start_fleet(message_buffer_timeout=0.3, **CRASHES)
    fleet.agent.answer(peer, Answer(held=True))
    zombie = fleet.worker()
    fleet.webhook().say(peer, "oi", message_id="m1")
    fleet.wait_calls(peer)
    zombie.signal(signal.SIGSTOP)
    fleet.worker()
    fleet.wait_calls(peer, 2)
    token = fleet.conversation(peer)["token"]
    zombie.signal(signal.SIGCONT)
    until("the zombie gave up", lambda: any(line.get("outcome") == "lost" for line in zombie.log_lines()))
    assert fleet.conversation(peer)["token"] == token
    fleet.agent.release()
    fleet.wait_drained()
    assert [call.attempt for call in fleet.agent.calls] == [1, 2]
    assert len(fleet.agent.flushes()) == 1
    assert fleet.snapshot()["counters"]["acked"] == 1


def test_a_message_during_a_call_waits_behind_it(start_fleet: Callable[..., Fleet], peer: str) -> None:
    """It is neither joined to the call under way nor sent beside it: it comes after, as a burst of its own."""
    fleet = start_fleet(message_buffer_timeout=0.3)
    fleet.agent.answer(peer, Answer(held=True), Answer())
    webhook = fleet.webhook(2)
    fleet.workers(2)
    webhook.say(peer, "um", message_id="m1")
    fleet.wait_calls(peer)
    webhook.say(peer, "dois", message_id="m2")
    deadline_ms = int(fleet.conversation(peer)["deadline_ms"])
    until("the second burst is overdue", lambda: fleet.snapshot()["now_ms"] > deadline_ms + 1000)
    assert len(fleet.agent.calls) == 1
    fleet.agent.release()
    fleet.wait_drained()
    first, second = fleet.agent.calls
    assert [first.ids, second.ids] == [["m1"], ["m2"]]
    assert first.ended_ms is not None
    assert second.arrived_ms >= first.ended_ms
