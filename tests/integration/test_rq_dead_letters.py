"""A dead letter is a failed job of RQ with its reason: requeued there, it is delivered again with its old id."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from rq.registry import FailedJobRegistry, StartedJobRegistry

from tests.integration.agent import Answer
from tests.integration.deployment import CRASHES, Deployment, person
from tests.integration.polling import until
from tests.integration.rq_operator import RQ, queue_of, rq, suspend
from tests.integration.rq_view import FAILED, FINISHED, STARTED, jobs_in, texts_in

ANA = "5511900000031"
SHOWN = "1 message · +55 11 •••• 0031 · generic/default"
REFUSED = Answer(422, b"no", "text/plain")


def make_dead(deployment: Deployment, peer: str = ANA) -> str:
    """Let the agent refuse a burst. Returns its flush_id, when RQ shows it."""
    deployment.agent.answer(peer, REFUSED, Answer())
    deployment.webhook().say(peer, "um")
    until("it is a failed job", lambda: texts_in(deployment, FAILED) == [SHOWN])
    return deployment.agent.calls_of(peer)[-1].key


def start(start_deployment: Callable[..., Deployment], **settings: object) -> Deployment:
    """A deployment with a worker."""
    deployment = start_deployment(message_buffer_timeout=0.3, **settings)
    deployment.worker()
    return deployment


def debouncer(deployment: Deployment, *arguments: str) -> None:
    """Run a command of ours."""
    assert deployment.run([sys.executable, "-m", "cli", *arguments]).wait() == 0


def test_it_is_a_failed_job_with_its_reason(start_deployment: Callable[..., Deployment]) -> None:
    """`rq info` counts it as failed; the job says why, and what requeue and delete do."""
    deployment = start(start_deployment)
    flush_id = make_dead(deployment)
    (job,) = jobs_in(deployment, FAILED)
    assert (job.id, job.get_status()) == (f"dead-{flush_id}", "failed")
    result = job.latest_result()
    assert result is not None
    assert str(result.exc_string).startswith("the agent answered 422")
    assert f"Dead letter {flush_id}: {SHOWN}, not delivered after 1 attempt." in str(result.exc_string)
    assert f"`debouncer dead discard {flush_id}`" in str(result.exc_string)
    assert job.ended_at is not None
    assert deployment.redis.ttl(job.key) == -1
    assert "1 failed" in rq(deployment, "info")


@pytest.mark.parametrize("how", ["one", "all"])
def test_requeue_delivers_it_with_its_old_id(start_deployment: Callable[..., Deployment], how: str) -> None:
    """`rq requeue` sends the same body with the same flush id again, and the failed registry is empty."""
    deployment = start(start_deployment)
    flush_id = make_dead(deployment)
    which = [f"dead-{flush_id}"] if how == "one" else ["--all"]
    rq(deployment, "requeue", "--queue", "flush", "--serializer", "json", *which)
    deployment.wait_calls(ANA, 2)
    deployment.wait_drained()
    first, second = deployment.agent.calls
    assert (second.key, second.body) == (flush_id, first.body)
    until("nothing has failed", lambda: "0 failed" in rq(deployment, "info"))
    until("nothing is left of its job", lambda: not list(deployment.redis.scan_iter(f"rq:*dead-{flush_id}")))
    assert deployment.ask(lambda store: store.dead_letters(0)).total == 0


def test_a_dead_letter_that_dies_again_is_shown_again(start_deployment: Callable[..., Deployment]) -> None:
    """Requeued to an agent that still refuses, it is a failed job again, under the same id."""
    deployment = start(start_deployment)
    flush_id = make_dead(deployment)
    deployment.agent.answer(ANA, REFUSED)
    rq(deployment, "requeue", "--queue", "flush", "--serializer", "json", f"dead-{flush_id}")
    deployment.wait_calls(ANA, 2)
    until("it is shown again", lambda: [job.id for job in jobs_in(deployment, FAILED)] == [f"dead-{flush_id}"])


def test_a_stock_worker_redrives_it(start_deployment: Callable[..., Deployment]) -> None:
    """RQ's own worker runs the job of a requeued dead letter; our worker delivers it."""
    deployment = start_deployment(message_buffer_timeout=0.3)
    ours = deployment.worker()
    flush_id = make_dead(deployment)
    ours.terminate()
    assert ours.wait() == 0
    rq(deployment, "requeue", "--queue", "flush", "--serializer", "json", f"dead-{flush_id}")
    options = ["--url", deployment.server.url, "--serializer", "json", "--worker-class", "rq.worker.SimpleWorker"]
    stock = deployment.run([RQ, "worker", "flush", "--burst", *options])
    assert stock.wait() == 0, stock.log
    assert deployment.ask(lambda store: store.dead_letters(0)).page[0].redriven_ms is not None
    deployment.worker()
    deployment.wait_calls(ANA, 2)
    deployment.wait_drained()
    assert [call.key for call in deployment.agent.calls] == [flush_id, flush_id]


@pytest.mark.parametrize("action", ["discard", "retry"])
def test_what_is_settled_elsewhere_leaves(start_deployment: Callable[..., Deployment], action: str) -> None:
    """`debouncer dead discard` and `dead retry` take it out of RQ's failed registry."""
    deployment = start(start_deployment)
    flush_id = make_dead(deployment)
    debouncer(deployment, "dead", action, flush_id)
    until("nothing has failed", lambda: "0 failed" in rq(deployment, "info"))
    until("nothing is left", lambda: not list(deployment.redis.scan_iter(f"rq:*dead-{flush_id}")))
    deployment.wait_drained()
    assert len(deployment.agent.calls) == (2 if action == "retry" else 1)


def test_delete_loses_nothing(start_deployment: Callable[..., Deployment]) -> None:
    """Deleted in a dashboard, it is shown again: only `debouncer dead discard` deletes a dead letter."""
    deployment = start(start_deployment)
    make_dead(deployment)
    (job,) = jobs_in(deployment, FAILED)
    job.delete()
    until("it is shown again", lambda: texts_in(deployment, FAILED) == [SHOWN])
    assert deployment.ask(lambda store: store.dead_letters(0)).total == 1


def test_requeued_while_nobody_works(start_deployment: Callable[..., Deployment]) -> None:
    """The queue is emptied before a worker takes the requeued job: it is a failed job again, and nothing is lost."""
    deployment = start_deployment(message_buffer_timeout=0.3)
    ours = deployment.worker()
    flush_id = make_dead(deployment)
    suspend(deployment)
    rq(deployment, "requeue", "--queue", "flush", "--serializer", "json", f"dead-{flush_id}")
    assert queue_of(deployment).get_job_ids() == [f"dead-{flush_id}"]
    rq(deployment, "empty", "flush")
    until("it is shown again", lambda: texts_in(deployment, FAILED) == [SHOWN])
    rq(deployment, "resume")
    assert ours.alive


def test_only_what_failed_is_failed(start_deployment: Callable[..., Deployment]) -> None:
    """Retries and a killed worker fail no job: an alert on RQ's failed jobs is true."""
    deployment = start_deployment(message_buffer_timeout=0.3, **CRASHES)
    people = ["ana", "bia", "cris"]
    for one in people:
        deployment.agent.answer(one, Answer(503), Answer(held=True))
    doomed = deployment.worker()
    deployment.webhook().post([{"conversation": one, "text": "oi"} for one in people])
    started = StartedJobRegistry(queue=queue_of(deployment))
    until("all are started", lambda: started.get_job_count(cleanup=False) == len(people))
    doomed.kill()
    expire_jobs(deployment)
    rq(deployment, "info")
    assert FailedJobRegistry(queue=queue_of(deployment)).count == started.count == 0
    deployment.agent.release()
    deployment.worker()
    deployment.wait_drained()
    assert {call.peer for call in deployment.agent.calls} == set(people)
    until("all are finished", lambda: len(texts_in(deployment, FINISHED)) == len(people))
    assert not texts_in(deployment, FAILED)
    assert not texts_in(deployment, STARTED)


def expire_jobs(deployment: Deployment) -> None:
    """Let so much time pass that the started jobs of a dead worker are over, in the order of their TTLs."""
    keys = [f"rq:job:{job.id}" for job in jobs_in(deployment, STARTED)]
    assert all(0 < deployment.redis.ttl(key) <= 60 for key in keys)
    deployment.redis.delete(*keys)
    for entry in deployment.redis.zrange("rq:wip:flush", 0, -1):
        deployment.redis.zadd("rq:wip:flush", {entry: 1}, xx=True)


def test_a_part_in_doubt_is_shown_under_an_id_that_rq_allows(start_deployment: Callable[..., Deployment]) -> None:
    """The dead letter of one part has a dot in its flush_id, and RQ allows none."""
    deployment = start_deployment(message_buffer_timeout=0.3)
    conversation = person(ANA)
    ref = deployment.ask(lambda store: _ref(store, conversation))
    flush_id = f"{ref}-1700000000000-0123456789ab.3"
    key = "deb:{p0}:"
    fields = {"flush_id": flush_id, "conversation": ref.partition("-")[2], "gateway": "generic", "peer": ANA}
    deployment.redis.hset(
        f"{key}letter:{flush_id}", mapping={**fields, "channel": "default", "error": "no", "answer": "[]"}
    )
    deployment.redis.zadd(f"{key}dead", {flush_id: 1_700_000_000_000})
    deployment.worker()
    shown = "a part of an answer · +55 11 •••• 0031 · generic/default"
    until("it is a failed job", lambda: texts_in(deployment, FAILED) == [shown])
    (job,) = jobs_in(deployment, FAILED)
    assert job.args == [flush_id]


async def _ref(store, conversation) -> str:
    return str(store.ref(conversation))
