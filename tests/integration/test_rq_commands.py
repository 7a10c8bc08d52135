"""What an operator can tell a worker through RQ, and what RQ then shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rq import Worker
from rq.command import (
    send_kill_horse_command,
    send_shutdown_command,
    send_stop_execution_command,
)
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from tests.integration.agent import Answer
from tests.integration.deployment import HOLDS, Deployment
from tests.integration.polling import until
from tests.integration.processes import Worker as WorkerProcess
from tests.integration.rq_operator import job_ids, queue_of, rq

PEOPLE = ("ana", "bia", "cris")


def in_flight(deployment: Deployment) -> tuple[WorkerProcess, list[str]]:
    """A worker with three jobs that RQ shows; the ids of these."""
    deployment.agent.default = Answer(held=True)
    worker = deployment.worker()
    deployment.webhook().post([{"conversation": one, "text": "oi"} for one in PEOPLE])
    started = StartedJobRegistry(queue=queue_of(deployment))
    until("three jobs are started", lambda: started.count == 3)
    return worker, started.get_job_ids()


def shown(deployment: Deployment) -> BaseWorker:
    """The one worker that RQ lists."""
    (worker,) = Worker.all(connection=deployment.redis)
    return worker


def fetch(deployment: Deployment, job_id: str) -> Any:
    """A job with its result."""
    return Job.fetch(job_id, connection=deployment.redis, serializer=JSONSerializer)


def test_a_stopped_execution_is_shown_as_stopped_and_its_batch_comes_again(
    start_deployment: Callable[..., Deployment],
) -> None:
    """stop-execution ends one call; RQ has the job as stopped, and the others go on."""
    deployment = start_deployment(message_buffer_timeout=0.3, **HOLDS)
    _, (job_id, *_) = in_flight(deployment)
    (execution,) = fetch(deployment, job_id).get_executions()
    send_stop_execution_command(deployment.redis, job_id, execution.id)
    failed = FailedJobRegistry(queue=queue_of(deployment))
    until("RQ shows it as stopped", lambda: failed.get_job_ids() == [job_id])
    assert fetch(deployment, job_id).get_status() is JobStatus.STOPPED
    until("the call came again", lambda: len(deployment.agent.calls) == 4)
    assert deployment.agent.most_at_once == 3
    deployment.agent.release()
    deployment.wait_drained()
    until("only the stopped job is left", lambda: job_ids(deployment) == {job_id})
    assert (shown(deployment).successful_job_count, shown(deployment).failed_job_count) == (3, 1)


def test_suspend_and_resume(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """A suspended worker says so once it is idle, finishes what it has, takes nothing new, and goes on at resume."""
    deployment = start_deployment(message_buffer_timeout=0.3, **HOLDS)
    in_flight(deployment)
    rq(deployment, "suspend")
    assert shown(deployment).get_state() == "busy"
    deployment.agent.release()
    deployment.wait_drained()
    until("it is shown as suspended", lambda: shown(deployment).get_state() == "suspended")
    deployment.webhook().say(peer, "oi")
    until("the job waits in the queue", lambda: queue_of(deployment).count == 1)
    assert "suspended" in rq(deployment, "info")
    assert deployment.agent.calls_of(peer) == []
    rq(deployment, "resume")
    deployment.wait_calls(peer)
    deployment.wait_drained()
    until("it is shown as idle", lambda: shown(deployment).get_state() == "idle")
    assert len(deployment.agent.calls) == 4


def test_shutdown_finishes_what_is_in_flight(start_deployment: Callable[..., Deployment]) -> None:
    """RQ's shutdown command is an orderly stop: exit status 0, everything acked, nothing left of the worker."""
    deployment = start_deployment(message_buffer_timeout=0.3, **HOLDS)
    worker, _ = in_flight(deployment)
    send_shutdown_command(deployment.redis, shown(deployment).name)
    until("it begins to stop", lambda: "stopping" in worker.log)
    deployment.agent.release()
    assert worker.wait() == 0
    assert (deployment.pending(), len(deployment.agent.calls), Worker.count(connection=deployment.redis)) == (0, 3, 0)
    assert not job_ids(deployment)


def test_kill_horse_is_harmless(start_deployment: Callable[..., Deployment]) -> None:
    """There is no horse: the calls under way go on, and the worker still listens to commands."""
    deployment = start_deployment(message_buffer_timeout=0.3, **HOLDS)
    worker, _ = in_flight(deployment)
    name = shown(deployment).name
    send_kill_horse_command(deployment.redis, name)
    deployment.agent.release()
    deployment.wait_drained()
    assert len(deployment.agent.calls) == 3
    send_shutdown_command(deployment.redis, name)
    assert worker.wait() == 0


def test_a_job_that_is_none_of_ours_fails_with_a_reason(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """Somebody's own job in our queue fails with a traceback; requeue does no harm, and the worker goes on."""
    deployment = start_deployment(message_buffer_timeout=0.3, **HOLDS)
    deployment.worker()
    queue = queue_of(deployment)
    job = queue.enqueue("os.getpid", job_id="somebodys-job")
    failed = FailedJobRegistry(queue=queue)
    until("it has failed", lambda: failed.get_job_ids() == [job.id])
    assert "is not a flush" in fetch(deployment, job.id).latest_result().exc_string
    rq(deployment, "requeue", "--queue", "flush", "--serializer", "json", job.id)
    until("it has failed again", lambda: shown(deployment).failed_job_count == 2)
    deployment.webhook().say(peer, "oi")
    deployment.wait_calls(peer)
    deployment.wait_drained()
    until("all is written", lambda: job_ids(deployment) == {job.id})
    until("nothing is left", lambda: deployment.redis.llen(queue.intermediate_queue_key) == 0)
