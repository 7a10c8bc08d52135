"""kill -9 at every named point, and what the agent sees of it: one key, one body, nothing lost."""

from __future__ import annotations

import signal
from collections.abc import Callable

import httpx
import pytest
from rq.suspension import resume, suspend

from config.killpoints import POINTS
from tests.integration.agent import Answer
from tests.integration.deployment import CRASHES, Deployment
from tests.integration.polling import until

REPLY = Answer(200, b'{"reply": "pronto"}', "application/json", delay_s=1.0)
"""Slower than a renewal, so that a worker can die while the agent works; a reply, so that there is one to keep."""

ATTEMPTS = {
    "worker_after_dispatch": [1],
    "worker_after_enqueue": [1],
    "worker_after_dequeue": [1],
    "worker_after_claim": [2],
    "worker_during_call": [1, 2],
    "worker_after_call": [1, 2],
    "worker_after_answered": [1],
    "worker_after_ack": [1],
}
"""The attempts that reach the agent when the first worker dies at a point and the second one does not."""


AMONG_PARTS = {"worker_before_part", "worker_after_part_marked", "worker_after_part_sent"}
"""Points that only a flush with replies reaches: tests/integration/test_replies.py."""

RESTARTED = ("worker_after_superseded", "worker_after_taken_back")
"""Points that only a batch reaches that was taken back."""

DURING_A_RESTART = ("worker_after_claim", "worker_during_call", "worker_after_call", *RESTARTED)


def test_every_point_is_tried() -> None:
    """A new kill-point needs a line here."""
    assert {*ATTEMPTS, "webhook_before_append", "webhook_after_append"} | AMONG_PARTS | {*RESTARTED} == set(POINTS)


@pytest.mark.parametrize("point", ATTEMPTS)
def test_a_worker_that_dies_loses_nothing(start_deployment: Callable[..., Deployment], peer: str, point: str) -> None:
    """Another worker delivers the same batch with the same key; the person's next burst is its own."""
    deployment = start_deployment(message_buffer_timeout=0.3, **CRASHES)
    deployment.agent.answer(peer, REPLY)
    webhook = deployment.webhook()
    if point == "worker_after_enqueue":
        suspend(deployment.redis)  # or the worker, in a blocking pop, may take the job before it dies
    doomed = deployment.worker(debouncer_kill_at=point)
    webhook.post([{"conversation": peer, "text": "oi", "message_id": one} for one in ("m0", "m1", "m2")])
    assert doomed.wait() == -signal.SIGKILL
    resume(deployment.redis)
    deployment.worker()
    deployment.wait_drained()
    webhook.say(peer, "depois", message_id="later")
    deployment.wait_calls(peer, len(ATTEMPTS[point]) + 1)
    deployment.wait_drained()
    *calls, last = deployment.agent.calls_of(peer)
    assert [call.attempt for call in calls] == ATTEMPTS[point]
    assert len({(call.key, call.body) for call in calls}) == 1
    assert calls[0].ids == ["m0", "m1", "m2"]
    assert (last.ids, last.attempt) == (["later"], 1)
    assert deployment.counters()["acked"] == 2


@pytest.mark.parametrize(
    ("point", "second"), [("webhook_before_append", "accepted"), ("webhook_after_append", "duplicates")]
)
@pytest.mark.parametrize("first", [True, False], ids=["first message", "second message"])
def test_a_webhook_that_dies_loses_nothing(
    start_deployment: Callable[..., Deployment], peer: str, point: str, second: str, first: bool
) -> None:
    """The gateway got no answer and sends again: one copy, and the burst is delivered."""
    deployment = start_deployment(message_buffer_timeout=0.3)
    doomed, healthy = deployment.webhook(debouncer_kill_at=point), deployment.webhook()
    if not first:
        healthy.say(peer, "antes", message_id="m0")
    with pytest.raises(httpx.TransportError):
        doomed.say(peer, "oi", message_id="m1")
    assert doomed.wait() == -signal.SIGKILL
    assert healthy.say(peer, "oi", message_id="m1").json()[second] == 1
    deployment.worker()
    deployment.wait_calls(peer)
    deployment.wait_drained()
    (call,) = deployment.agent.calls
    assert call.ids == (["m1"] if first else ["m0", "m1"])
    assert call.attempt == 1


@pytest.mark.parametrize("workers", [1, 4])
def test_a_worker_killed_while_the_agent_works(start_deployment: Callable[..., Deployment], workers: int) -> None:
    """Calls under way when the pod is killed come again with the same key and body; the agent answers each once."""
    deployment = start_deployment(message_buffer_timeout=0.3, **CRASHES)
    deployment.agent.default = Answer(held=True)
    webhook = deployment.webhook()
    doomed = deployment.worker()
    people = [f"person-{number}" for number in range(20)]
    webhook.post([{"conversation": one, "text": "oi"} for one in people])
    until("all calls are under way", lambda: len(deployment.agent.calls) == 20)
    doomed.kill()
    until("the agent sees them go", lambda: all(call.ended_ms for call in deployment.agent.calls))
    deployment.agent.release()
    deployment.workers(workers)
    deployment.wait_drained()
    for one in people:
        calls = deployment.agent.calls_of(one)
        assert [call.attempt for call in calls] == [1, 2]
        assert len({(call.key, call.body) for call in calls}) == 1


@pytest.mark.parametrize("point", DURING_A_RESTART)
def test_a_worker_that_dies_with_a_batch_that_is_taken_back(
    start_deployment: Callable[..., Deployment], peer: str, point: str
) -> None:
    """Whenever the worker dies, the person's messages are answered once, in one flush that names the one before it."""
    deployment = start_deployment(message_buffer_timeout=0.3, message_while_answering="restart", **CRASHES)
    deployment.agent.answer(peer, REPLY)
    webhook = deployment.webhook()
    doomed = deployment.worker(debouncer_kill_at=point)
    webhook.say(peer, "oi", message_id="m0")
    if point == "worker_after_claim":
        assert doomed.wait() == -signal.SIGKILL
    else:
        deployment.wait_calls(peer)
    webhook.say(peer, "aliás", message_id="m1")
    assert doomed.wait() == -signal.SIGKILL
    deployment.worker()
    deployment.wait_drained()
    calls = deployment.agent.calls_of(peer)
    last, keys = calls[-1], list(dict.fromkeys(call.key for call in calls))
    assert last.ids == ["m0", "m1"]
    assert len(last.content["supersedes"]) == 1
    assert keys == ([last.key] if point == "worker_after_claim" else [*last.content["supersedes"], last.key])
    assert len({(call.key, call.body) for call in calls}) == len(keys)
    assert deployment.counters()["acked"] == 1
    assert deployment.counters()["flushes_superseded"] == 1
    assert deployment.pending() == 0
