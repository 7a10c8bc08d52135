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
from tests.integration.deployment import Fleet
from tests.integration.polling import until
from tests.integration.processes import Worker as WorkerProcess
from tests.integration.rq_operator import job_ids, queue_of, rq

PEOPLE = ("ana", "bia", "cris")


def in_flight(fleet: Fleet) -> tuple[WorkerProcess, list[str]]:
    """A worker with three jobs that RQ shows; the ids of these."""
    fleet.agent.default = Answer(held=True)
    worker = fleet.worker()
    fleet.webhook().post([{"conversation": one, "text": "oi"} for one in PEOPLE])
    started = StartedJobRegistry(queue=queue_of(fleet))
    until("three jobs are started", lambda: started.count == 3)
    return worker, started.get_job_ids()


def shown(fleet: Fleet) -> BaseWorker:
    """The one worker that RQ lists."""
    (worker,) = Worker.all(connection=fleet.redis)
    return worker


def fetch(fleet: Fleet, job_id: str) -> Any:
    """A job with its result."""
    return Job.fetch(job_id, connection=fleet.redis, serializer=JSONSerializer)


def test_a_stopped_execution_is_shown_as_stopped_and_its_batch_comes_again(start_fleet: Callable[..., Fleet]) -> None:
    """stop-execution ends one call; RQ has the job as stopped, and the others go on."""
    fleet = start_fleet(message_buffer_timeout=0.3)
    _, (job_id, *_) = in_flight(fleet)
    (execution,) = fetch(fleet, job_id).get_executions()
    send_stop_execution_command(fleet.redis, job_id, execution.id)
    failed = FailedJobRegistry(queue=queue_of(fleet))
    until("RQ shows it as stopped", lambda: failed.get_job_ids() == [job_id])
    assert fetch(fleet, job_id).get_status() is JobStatus.STOPPED
    until("the call came again", lambda: len(fleet.agent.calls) == 4)
    assert fleet.agent.most_at_once == 3
    fleet.agent.release()
    fleet.wait_drained()
    until("only the stopped job is left", lambda: job_ids(fleet) == {job_id})
    assert (shown(fleet).successful_job_count, shown(fleet).failed_job_count) == (3, 1)


def test_suspend_and_resume(start_fleet: Callable[..., Fleet], peer: str) -> None:
    """A suspended worker says so once it is idle, finishes what it has, takes nothing new, and goes on at resume."""
    fleet = start_fleet(message_buffer_timeout=0.3)
    in_flight(fleet)
    rq(fleet, "suspend")
    assert shown(fleet).get_state() == "busy"
    fleet.agent.release()
    fleet.wait_drained()
    until("it is shown as suspended", lambda: shown(fleet).get_state() == "suspended")
    fleet.webhook().say(peer, "oi")
    until("the job waits in the queue", lambda: queue_of(fleet).count == 1)
    assert "suspended" in rq(fleet, "info")
    assert fleet.agent.calls_of(peer) == []
    rq(fleet, "resume")
    fleet.wait_calls(peer)
    fleet.wait_drained()
    until("it is shown as idle", lambda: shown(fleet).get_state() == "idle")
    assert len(fleet.agent.calls) == 4


def test_shutdown_finishes_what_is_in_flight(start_fleet: Callable[..., Fleet]) -> None:
    """RQ's shutdown command is an orderly stop: exit status 0, everything acked, nothing left of the worker."""
    fleet = start_fleet(message_buffer_timeout=0.3)
    worker, _ = in_flight(fleet)
    send_shutdown_command(fleet.redis, shown(fleet).name)
    until("it begins to stop", lambda: "stopping" in worker.log)
    fleet.agent.release()
    assert worker.wait() == 0
    assert (fleet.pending(), len(fleet.agent.calls), Worker.count(connection=fleet.redis)) == (0, 3, 0)
    assert not job_ids(fleet)


def test_kill_horse_is_harmless(start_fleet: Callable[..., Fleet]) -> None:
    """There is no horse: the calls under way go on, and the worker still listens to commands."""
    fleet = start_fleet(message_buffer_timeout=0.3)
    worker, _ = in_flight(fleet)
    name = shown(fleet).name
    send_kill_horse_command(fleet.redis, name)
    fleet.agent.release()
    fleet.wait_drained()
    assert len(fleet.agent.calls) == 3
    send_shutdown_command(fleet.redis, name)
    assert worker.wait() == 0


def test_a_job_that_is_none_of_ours_fails_with_a_reason(start_fleet: Callable[..., Fleet], peer: str) -> None:
    """Somebody's own job in our queue fails with a traceback; requeue does no harm, and the worker goes on."""
    fleet = start_fleet(message_buffer_timeout=0.3)
    fleet.worker()
    queue = queue_of(fleet)
    job = queue.enqueue("os.getpid", job_id="somebodys-job")
    failed = FailedJobRegistry(queue=queue)
    until("it has failed", lambda: failed.get_job_ids() == [job.id])
    assert "is not a flush" in fetch(fleet, job.id).latest_result().exc_string
    rq(fleet, "requeue", "--queue", "flush", "--serializer", "json", job.id)
    until("it has failed again", lambda: shown(fleet).failed_job_count == 2)
    fleet.webhook().say(peer, "oi")
    fleet.wait_calls(peer)
    fleet.wait_drained()
    until("all is written", lambda: job_ids(fleet) == {job.id})
    until("nothing is left", lambda: fleet.redis.llen(queue.intermediate_queue_key) == 0)
