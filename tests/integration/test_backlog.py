"""Work that has piled up: workers that were down, many dispatchers at once, thousands due, and far more waiting."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from rq import Queue

from buffer.keys import Ref
from buffer.store import Store
from buffer.transport.clients import connect
from tests.conftest import Clock
from tests.integration.agent import Answer
from tests.integration.backlog import one_each, store_all
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import Deployment
from tests.integration.fault_injector import FaultInjector
from tests.integration.polling import until
from tests.integration.sender import Said, Sender
from worker.dispatcher import Dispatcher
from worker.rq.job_ids import NewJob, group_into_jobs, refs_of_id
from worker.rq.queue import JobQueue
from worker.rq.runner import JobRunner

LOT = 1000
FIVE_MINUTES_MS = 300_000


def test_people_overdue_for_minutes_are_called_once_oldest_first(start_deployment: Callable[..., Deployment]) -> None:
    """All workers were down: whoever has waited longest comes first, and RQ's queue stays short."""
    deployment = start_deployment(worker_concurrency=1)
    people = [f"person-{number:03d}" for number in range(80)]
    began_ms = int(time.time() * 1000) - FIVE_MINUTES_MS
    for number, one in enumerate(people):
        store_all(deployment, one_each([one]), clock=Clock(began_ms + 10 * number))
    queue = Queue("flush", connection=deployment.redis)
    lengths: list[int] = []
    with FaultInjector(lambda: lengths.append(queue.count), every_s=0.01):
        deployment.worker()
        deployment.wait_drained()
    assert [call.peer for call in deployment.agent.calls] == people
    assert all(call.attempt == 1 for call in deployment.agent.calls)
    assert max(lengths) <= 2


class NoRoom:
    """A job runner without room: all jobs stay in RQ's queue."""

    room = 0

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    async def enqueue_and_dequeue(self, jobs: Sequence[NewJob]) -> None:
        """Begin nothing."""
        await self._queue.enqueue_and_dequeue(jobs, 0)

    def run_inline(self, ref: Ref) -> bool:
        """Refuse."""
        return False


def test_ten_dispatchers_make_one_job_for_each_person(start_deployment: Callable[..., Deployment]) -> None:
    """Ten processes' dispatchers see the same people become due: one job each, one call each."""
    deployment = start_deployment()
    people = [f"person-{number:03d}" for number in range(200)]
    store_all(deployment, one_each(people), clock=Clock(int(time.time() * 1000) - 2000))
    settings = deployment.settings_object()

    async def passes() -> None:
        stores = [Store(connect(deployment.server.url, timeout_s=30), settings) for _ in range(10)]
        queues = [JobQueue(settings, deployment.server.client(), store.client) for store in stores]
        dispatchers = [
            Dispatcher(store, queue, settings, cast(JobRunner, NoRoom(queue)))
            for store, queue in zip(stores, queues, strict=True)
        ]
        await asyncio.gather(*(dispatcher.dispatch_due() for dispatcher in dispatchers for _ in range(3)))
        for store, queue in zip(stores, queues, strict=True):
            await queue.close()
            await store.close()

    asyncio.run(passes())
    assert Queue("flush", connection=deployment.redis).count == 200
    deployment.worker()
    deployment.wait_drained()
    assert sorted(call.peer for call in deployment.agent.calls) == people


def one_pass(deployment: Deployment) -> None:
    """Run one pass of a dispatcher, without a worker that takes the jobs."""
    settings = deployment.settings_object()

    async def run() -> None:
        store = Store(connect(deployment.server.url, timeout_s=30), settings)
        queue = JobQueue(settings, deployment.redis, store.client)
        await Dispatcher(store, queue, settings, cast(JobRunner, NoRoom(queue))).dispatch_due()
        await queue.close()
        await store.close()

    asyncio.run(run())


def test_a_backlog_is_grouped(start_deployment: Callable[..., Deployment]) -> None:
    """More are due than the queue has room for: jobs carry several people, room counts people, none is queued twice."""
    deployment = start_deployment(worker_concurrency=64)
    deployment.agent.default = Answer(delay_s=0.05)
    people = [f"person-{number:03d}" for number in range(600)]
    store_all(deployment, one_each(people), clock=Clock(int(time.time() * 1000) - 2000))
    queue = Queue("flush", connection=deployment.redis)
    for _ in range(2):
        one_pass(deployment)
        groups = [refs_of_id(job_id) for job_id in queue.get_job_ids()]
        assert [len(refs) for refs in groups] == [8] * 16
        assert len({ref for refs in groups for ref in refs}) == 128
    options = ["--serializer", "json", "--max-jobs", "4", "--worker-class", "rq.worker.SimpleWorker"]
    rq = str(Path(sys.executable).with_name("rq"))
    stock = deployment.run([rq, "worker", "flush", "--url", deployment.server.url, *options])
    assert stock.wait() == 0, stock.log
    assert len(deployment.agent.flushes()) == len(deployment.agent.calls) == 32
    deployment.worker()
    deployment.wait_drained()
    assert sorted(call.peer for call in deployment.agent.calls) == people
    assert deployment.agent.most_at_once <= 64


def test_a_slice_beyond_the_room_waits_its_turn(start_deployment: Callable[..., Deployment]) -> None:
    """A job made for a larger worker: no more calls at once than this one may hold; a stop leaves the rest alone."""
    deployment = start_deployment(worker_concurrency=3)
    deployment.agent.default = Answer(held=True)
    people = [f"person-{number:03d}" for number in range(600)]
    store_all(deployment, one_each(people), clock=Clock(int(time.time() * 1000) - 2000))
    settings = deployment.settings_object()

    async def enqueue(store: Store) -> None:
        queue = JobQueue(settings, deployment.redis, store.client)
        await queue.enqueue_and_dequeue(list(group_into_jobs((await store.dispatch(0, 600)).due, 16)), 0)
        await queue.close()

    deployment.ask(enqueue)
    worker = deployment.worker()
    until("three calls are under way", lambda: len(deployment.agent.calls) == 3)
    worker.terminate()
    until("it begins to stop", lambda: "stopping" in worker.log)
    deployment.agent.release()
    assert worker.wait() == 0
    assert (len(deployment.agent.calls), deployment.agent.most_at_once) == (3, 3)
    assert not [line for line in worker.log_lines() if "handed back" in line["event"]]
    deployment.worker()
    deployment.wait_drained()
    assert sorted(call.peer for call in deployment.agent.calls) == people
    assert deployment.agent.most_at_once <= 3


def test_thousands_due_in_the_same_millisecond(start_deployment: Callable[..., Deployment]) -> None:
    """Three thousand people become due at once: all are called once, none is dropped."""
    deployment = start_deployment()
    deployment.workers(2)
    people = [f"person-{number:04d}" for number in range(3000)]
    store_all(deployment, one_each(people), clock=Clock(int(time.time() * 1000)))
    began = time.monotonic()
    deployment.wait_drained()
    print(f"3000 people due at once were called within {time.monotonic() - began:.1f} s")
    assert sorted(call.peer for call in deployment.agent.calls) == people


def test_twenty_thousand_waiting_do_not_delay_the_others(
    start_deployment: Callable[..., Deployment], report: Callable[[Verdict], None]
) -> None:
    """20,000 people wait for a far deadline; 300 others, 30 a second, are called in time."""
    deployment = start_deployment()
    deployment.workers(2)
    webhook = deployment.webhook(2)
    waiting = one_each([f"waiting-{number:05d}" for number in range(20_000)])
    store_all(deployment, waiting, message_buffer_timeout=600.0, message_buffer_max_wait=900.0)
    assert deployment.pending() == 20_000
    sender = Sender(webhook)
    sender.play(Said(number / 30, f"person-{number:03d}", f"m-{number}") for number in range(300))
    deployment.wait_drained(left=20_000)
    verdict = judge(sender.sent, deployment.agent.calls, Rules())
    report(verdict)
    assert verdict.problems == []
    assert len(deployment.agent.calls) == 300
    assert deployment.pending() == 20_000
    assert verdict.percentile(1) < 5000 + deployment.agent.stalled_ms
