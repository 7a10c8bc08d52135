"""A worker that dies or is stopped leaves nothing in RQ for ever, and no flush waits for RQ's clean-up."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
from rq import Worker
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.suspension import resume, suspend

from tests.integration.agent import Answer
from tests.integration.deployment import CRASHES, Deployment, person
from tests.integration.polling import until
from tests.integration.rq_operator import job_ids, maintain_twice, pass_heartbeats, queue_of
from tests.integration.test_kill_points import ATTEMPTS
from tests.messages import message

PEOPLE = [f"person-{number}" for number in range(20)]
MANY = 300


def check_nothing_left(deployment: Deployment) -> None:
    """Nothing of any job, and none that RQ shows as failed."""
    queue = queue_of(deployment)
    assert queue.count == deployment.redis.llen(queue.intermediate_queue_key) == 0
    assert StartedJobRegistry(queue=queue).count == 0
    assert job_ids(deployment) == set(FailedJobRegistry(queue=queue).get_job_ids()) == set()
    assert not list(deployment.redis.scan_iter("*first_seen*"))


@pytest.mark.parametrize("point", ATTEMPTS)
def test_a_crash_leaves_nothing_in_rq_for_ever(
    start_deployment: Callable[..., Deployment], peer: str, point: str
) -> None:
    """Whenever a worker dies, its conversation is called again without any clean-up; that then removes the rest."""
    deployment = start_deployment(message_buffer_timeout=0.3, **CRASHES)
    deployment.agent.answer(peer, Answer(200, b'{"reply": "pronto"}', "application/json", delay_s=1.0))
    doomed = deployment.worker(debouncer_kill_at=point)
    if point == "worker_after_enqueue":
        suspend(deployment.redis)
    deployment.webhook().say(peer, "oi")
    assert doomed.wait() == -signal.SIGKILL
    died = time.monotonic()
    resume(deployment.redis)
    healthy = deployment.worker()
    deployment.wait_drained()
    print(f"\n{point}: all was over {time.monotonic() - died:.1f} s after the crash")
    assert len({call.key for call in deployment.agent.calls}) == 1
    healthy.terminate()  # so that its registries are complete
    assert healthy.wait() == 0
    pass_heartbeats(deployment)
    maintain_twice(deployment)
    check_nothing_left(deployment)


def test_the_jobs_of_a_dead_worker_are_handed_back_and_come_again(start_deployment: Callable[..., Deployment]) -> None:
    """kill -9 with jobs in flight: another worker's maintenance forgets them, and our leases bring the batches back."""
    deployment = start_deployment(message_buffer_timeout=0.3, **CRASHES)
    deployment.agent.default = Answer(held=True)
    doomed = deployment.worker()
    deployment.webhook().post([{"conversation": one, "text": "oi"} for one in PEOPLE])
    started = StartedJobRegistry(queue=queue_of(deployment))
    until("all jobs are started", lambda: started.get_job_count(cleanup=False) == 20)
    doomed.kill()
    lost = set(started.get_job_ids(cleanup=False))
    (dead,) = Worker.all(connection=deployment.redis)
    deployment.agent.release()
    pass_heartbeats(deployment)
    deployment.redis.delete(dead.key)
    healthy = deployment.worker()
    failed = FailedJobRegistry(queue=queue_of(deployment))
    until("RQ's jobs are handed back", lambda: "RQ jobs of a worker that died are handed back" in healthy.log)
    assert not lost & (set(failed.get_job_ids()) | job_ids(deployment))
    assert [worker.name == dead.name for worker in Worker.all(connection=deployment.redis)] == [False]
    deployment.wait_drained()
    assert [[call.attempt for call in deployment.agent.calls_of(one)] for one in PEOPLE] == [[1, 2]] * 20
    healthy.terminate()
    assert healthy.wait() == 0
    maintain_twice(deployment)
    check_nothing_left(deployment)


@pytest.mark.parametrize("moment", ["the first job is enqueued", "the first call is under way", "half is done"])
def test_sigterm_strands_no_job(start_deployment: Callable[..., Deployment], moment: str) -> None:
    """Stopped while it takes hundreds of jobs, it leaves none in the intermediate queue or started registry."""
    deployment = start_deployment(worker_concurrency=50)
    deployment.agent.default = Answer(delay_s=0.1)
    reached: dict[str, Callable[[], bool]] = {
        "the first job is enqueued": lambda: deployment.redis.exists("rq:queues") == 1,
        "the first call is under way": lambda: bool(deployment.agent.calls),
        "half is done": lambda: len(deployment.agent.calls) >= MANY / 2,
    }
    worker = deployment.worker()
    people = [person(f"person-{number}") for number in range(MANY)]
    deployment.ask(
        lambda store: store.append([message("m", one) for one in people]), lambda: int(time.time() * 1000) - 2000
    )
    until(moment, reached[moment])
    worker.terminate()
    assert worker.wait() == 0
    queue = queue_of(deployment)
    assert deployment.redis.llen(queue.intermediate_queue_key) == 0
    assert StartedJobRegistry(queue=queue).count == 0
    assert job_ids(deployment) == set(queue.get_job_ids())
    assert deployment.pending() == MANY - len(deployment.agent.calls)
    deployment.worker()
    deployment.wait_drained()
    assert sorted(call.peer for call in deployment.agent.calls) == sorted(one.peer for one in people)
