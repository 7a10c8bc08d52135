"""A thousand jobs at once in one worker process: everything that RQ's tools and dashboards ask is answered right."""

from __future__ import annotations

import time
from collections.abc import Callable

from rq import Worker
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from tests.integration.agent import Answer
from tests.integration.deployment import HOLDS, Deployment
from tests.integration.polling import until
from tests.integration.rq_operator import job_ids, maintain_twice, queue_of, rq

COUNT = 1000
HEARTBEAT_TTL_S = 90
"""RQ's: job_monitoring_interval + 60."""


def thousand_in_flight(deployment: Deployment) -> None:
    """A worker with a thousand calls under way, all of which RQ shows."""
    deployment.agent.default = Answer(held=True)
    deployment.worker(worker_concurrency=COUNT)
    webhook = deployment.webhook()
    for start in range(0, COUNT, 100):
        webhook.post([{"conversation": f"person-{start + number}", "text": "oi"} for number in range(100)])
    until("all calls are under way", lambda: len(deployment.agent.calls) == COUNT)
    started = StartedJobRegistry(queue=queue_of(deployment))
    until("all jobs are started", lambda: started.count == COUNT)


def check_shown(deployment: Deployment) -> None:
    """What RQ's dashboards ask, while a thousand jobs run."""
    queue, connection = queue_of(deployment), deployment.redis
    (worker,) = Worker.all(connection=connection)
    assert (worker.get_state(), worker.current_execution_count) == ("busy", COUNT)
    executions = worker.get_current_executions()
    started = StartedJobRegistry(queue=queue)
    ids = set(started.get_job_ids())
    assert {execution.job_id for execution in executions} == ids == job_ids(deployment)
    jobs = Job.fetch_many(ids, connection, serializer=JSONSerializer)
    assert {(job.get_status(refresh=False), job.worker_name) for job in jobs if job} == {
        (JobStatus.STARTED, worker.name)
    }
    assert all(job and job.started_at and job.func_name == "worker.job.flush" for job in jobs)
    one = executions[0]
    assert Execution.fetch(one.id, one.job_id, connection).worker_name == worker.name
    assert connection.llen(queue.key) == connection.llen(queue.intermediate_queue_key) == 0
    assert (FailedJobRegistry(queue=queue).count, worker.successful_job_count) == (0, 0)


def test_rq_is_right_while_a_thousand_jobs_run_and_after(start_deployment: Callable[..., Deployment]) -> None:
    """All are started jobs of one busy worker, none is abandoned while it lives, and none is left behind."""
    deployment = start_deployment(message_buffer_timeout=0.3, **HOLDS)
    thousand_in_flight(deployment)
    check_shown(deployment)
    info = rq(deployment, "info", "--raw")
    assert "queue flush 0" in info
    assert "busy" in info
    queue = queue_of(deployment)
    started = StartedJobRegistry(queue=queue)
    started.cleanup(timestamp=time.time() + HEARTBEAT_TTL_S / 2)
    maintain_twice(deployment)
    check_shown(deployment)
    deployment.agent.release()
    deployment.wait_drained()
    until("the worker is idle", lambda: Worker.all(connection=deployment.redis)[0].get_state() == "idle")
    (worker,) = Worker.all(connection=deployment.redis)
    assert (worker.successful_job_count, worker.failed_job_count) == (COUNT, 0)
    assert (worker.current_execution_count, worker.get_current_executions(refresh=True)) == (0, [])
    assert (started.count, queue.count, FailedJobRegistry(queue=queue).count) == (0, 0, 0)
    assert deployment.redis.llen(queue.intermediate_queue_key) == 0
    assert not job_ids(deployment)
    assert not list(deployment.redis.scan_iter("rq:execution*"))
    assert len(deployment.agent.calls) == COUNT
