"""RQ as its operators know it: a stock worker runs our jobs, and its tools see what our own worker does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from rq import Worker
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from buffer.store import Store
from tests.integration.agent import Answer
from tests.integration.checker import Rules, judge
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.rq_operator import RQ, job_ids, queue_of, rq, suspend
from tests.integration.sender import Sender, crowd
from tests.servers import Server
from worker.rq.job_ids import group_into_jobs
from worker.rq.queue import JobQueue

STOCK = (
    ["--worker-class", "rq.worker.SimpleWorker"],
    ["--worker-class", "rq.worker.Worker"],
    ["--worker-class", "rq.worker.Worker", "--config", "worker.job"],
)


def dispatch(deployment: Deployment, count: int) -> None:
    """Make jobs of the due conversations, as the dispatcher does, without a worker of ours that takes them."""

    async def hand_out(store: Store) -> None:
        queue = JobQueue(deployment.settings_object(), deployment.server.client(), store.client)
        await queue.enqueue_and_dequeue(list(group_into_jobs((await store.dispatch(0, 1000)).due, 1)), 0)
        await queue.close()

    until("all are due", lambda: deployment.snapshot()["overdue"] == count)
    deployment.ask(hand_out)


@pytest.mark.parametrize("kind", STOCK, ids=["SimpleWorker", "Worker", "Worker that has imported us"])
def test_a_stock_worker_runs_our_jobs(start_deployment: Callable[..., Deployment], kind: list[str]) -> None:
    """`rq worker --serializer json` on the queue delivers the bursts and leaves nothing behind in RQ."""
    deployment = start_deployment(message_buffer_timeout=0.3)
    sender = Sender(deployment.webhook())
    sender.play(crowd(6, 2, gap_s=0.1))
    dispatch(deployment, 6)
    url = ["--url", deployment.server.url]
    stock = deployment.run([RQ, "worker", "flush", *url, "--serializer", "json", "--burst", *kind])
    assert stock.wait() == 0, stock.log
    verdict = judge(sender.sent, deployment.agent.calls, Rules(window_ms=300))
    assert verdict.problems == []
    assert verdict.one_for_each(6)
    assert deployment.pending() == 0
    assert not list(deployment.redis.scan_iter("rq:job:*"))
    assert FailedJobRegistry(queue=queue_of(deployment)).count == 0


def test_a_stock_worker_beside_ours(start_deployment: Callable[..., Deployment]) -> None:
    """Both take jobs from the same queue; every burst is called once."""
    deployment = start_deployment(worker_concurrency=1)
    deployment.agent.default = Answer(delay_s=0.2)
    deployment.worker()
    url = ["--url", deployment.server.url]
    stock = deployment.run([RQ, "worker", "flush", *url, "--serializer", "json", *STOCK[0]])
    until("the stock worker listens", lambda: "Listening on" in stock.log)
    sender = Sender(deployment.webhook())
    sender.play(crowd(40, 2, gap_s=0.2))
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules())
    assert verdict.problems == []
    assert verdict.one_for_each(40)
    assert "Job OK" in stock.log


def test_rq_sees_what_our_worker_does(start_deployment: Callable[..., Deployment]) -> None:
    """Fifty jobs under way are fifty started jobs of a busy worker; afterwards nothing is left."""
    deployment = start_deployment(message_buffer_timeout=0.3)
    deployment.agent.default = Answer(held=True)
    deployment.worker()
    deployment.webhook().post([{"conversation": f"person-{number}", "text": "oi"} for number in range(50)])
    queue = queue_of(deployment)
    started = StartedJobRegistry(queue=queue)
    until("fifty jobs are started", lambda: started.count == 50)
    (worker,) = Worker.all(connection=deployment.redis)
    assert worker.get_state() == "busy"
    assert worker.queue_names() == ["flush"]
    assert "1 workers, 1 queues" in rq(deployment, "info")
    assert worker.name in rq(deployment, "info", "--only-workers")
    deployment.agent.release()
    deployment.wait_drained()
    until("the worker is idle", lambda: Worker.all(connection=deployment.redis)[0].get_state() == "idle")
    assert (started.count, queue.count, FailedJobRegistry(queue=queue).count) == (0, 0, 0)
    assert deployment.redis.llen(queue.intermediate_queue_key) == 0
    assert not job_ids(deployment)
    assert len(deployment.agent.calls) == 50


def test_a_job_can_be_stopped(start_deployment: Callable[..., Deployment]) -> None:
    """RQ's stop-job ends one call of several; its batch is handed back and comes again with the same key."""
    deployment = start_deployment(message_buffer_timeout=0.3)
    deployment.agent.default = Answer(held=True)
    deployment.worker()
    deployment.webhook().post([{"conversation": one, "text": "oi"} for one in ("ana", "bia", "cris")])
    started = StartedJobRegistry(queue=queue_of(deployment))
    until("three jobs are started", lambda: started.count == 3)
    job_id = started.get_job_ids()[0]
    assert Job.fetch(job_id, connection=deployment.redis, serializer=JSONSerializer).func_name == "worker.job.flush"
    send_stop_job_command(deployment.redis, job_id, serializer=JSONSerializer)
    until("the call came again", lambda: len(deployment.agent.calls) == 4)
    deployment.agent.release()
    deployment.wait_drained()
    again = deployment.agent.calls[3]
    (first,) = [call for call in deployment.agent.calls[:3] if call.key == again.key]
    assert (first.body, first.attempt, again.attempt) == (again.body, 1, 2)
    assert len(deployment.agent.calls) == 4


def test_a_suspended_worker_joins_what_comes_meanwhile(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """A job waits in the queue past the deadline; a message comes: the claim finds it early, and one call has both."""
    deployment = start_deployment()
    webhook = deployment.webhook()
    deployment.worker()
    suspend(deployment)
    webhook.say(peer, "um", message_id="m1")
    until("the job is in the queue", lambda: queue_of(deployment).count == 1)
    webhook.say(peer, "dois", message_id="m2")
    rq(deployment, "resume")
    deployment.wait_calls(peer)
    deployment.wait_drained()
    (call,) = deployment.agent.calls
    assert call.ids == ["m1", "m2"]
    assert call.content["closed_ms"] >= call.content["last_ms"] + 1000


def test_rq_finds_the_worker_again_after_a_crash_of_redis(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server]
) -> None:
    """Redis came back with nothing of RQ's: the worker still takes jobs, shows them, and hears stop-job."""
    server = start_server()
    deployment = start_deployment(server, message_buffer_timeout=0.3)
    deployment.worker()
    webhook = deployment.webhook()
    server.kill()
    server.restart()
    deployment.agent.default = Answer(held=True)
    until("the webhook accepts again", lambda: webhook.say("ana", "oi").status_code == 200)
    started = StartedJobRegistry(queue=queue_of(deployment))
    until("the job is started", lambda: started.count == 1)
    until("RQ lists the worker", lambda: Worker.count(connection=deployment.redis) == 1)

    def stopped() -> bool:
        for job_id in started.get_job_ids():
            with contextlib.suppress(InvalidJobOperation, NoSuchJobError):  # it may end meanwhile
                send_stop_job_command(deployment.redis, job_id, serializer=JSONSerializer)
        return len(deployment.agent.calls) > 1

    until("stop-job is heard", stopped)
