"""The jobs that a runner takes from RQ's queue, on a real server: of one or many conversations, and odd ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from buffer.errors import StoreUnavailable
from buffer.keys import Ref
from buffer.models import Due
from buffer.transport.clients import connect
from tests.servers import Server
from worker.rq.job_ids import NewJob, group_into_jobs
from worker.rq.queue import JobQueue
from worker.rq.runner import OnBatch, Work
from worker.rq.worker import AsyncWorker

ANA, BIA = "0-aaaaaaaaaaaaaaaa", "0-bbbbbbbbbbbbbbbb"
WITHIN_S = 20.0


class HeldWorker:
    """A worker whose flushes last until `let_go`."""

    def __init__(self, queue: JobQueue, concurrency: int) -> None:
        self.begun: list[str] = []
        self.redriven: list[str] = []
        self.let_go = asyncio.Event()
        self.worker = AsyncWorker(queue, Work(self.flush, self.redrive), concurrency)
        self.runner = self.worker.runner
        self.tasks = [
            asyncio.create_task(self.runner.consume()),
            asyncio.create_task(self.worker.registries.write_forever()),
        ]

    async def flush(self, ref: Ref, on_batch: OnBatch) -> str:
        self.begun.append(str(ref))
        await self.let_go.wait()
        return "acked"

    async def redrive(self, flush_id: str) -> str:
        self.redriven.append(flush_id)
        return "ok"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for the condition. Raise the error of a task that has ended."""
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self.let_go.set()
        self.runner.stop()
        await self.runner.drain(WITHIN_S, asyncio.Event())
        await self.tasks[0]
        self.tasks[1].cancel()
        await asyncio.gather(self.tasks[1], return_exceptions=True)
        self.worker.registries.close()


@pytest.fixture
async def queue(valkey: Server, make_settings, prefix: str) -> AsyncIterator[JobQueue]:
    """An RQ queue of this test's own."""
    client = connect(valkey.url, timeout_s=WITHIN_S)
    queue = JobQueue(make_settings(rq_queue=prefix), valkey.client(), client)
    yield queue
    await queue.close()
    await client.aclose()


@pytest.fixture
async def start_worker(queue: JobQueue) -> AsyncIterator[Callable[..., HeldWorker]]:
    """Start workers on the queue. They are closed after the test."""
    opened: list[HeldWorker] = []

    def make(concurrency: int = 10) -> HeldWorker:
        opened.append(HeldWorker(queue, concurrency))
        return opened[-1]

    yield make
    for held in opened:
        await held.close()


async def test_a_backlog_is_shared(queue: JobQueue, start_worker):
    """A worker takes groups for the room that it has, and leaves the others to its neighbour."""
    due = [Due(Ref(0, f"{number:016x}"), 1) for number in range(400)]
    await queue.enqueue_and_dequeue(list(group_into_jobs(due, 16)), 0)
    workers = [start_worker(200), start_worker(200)]
    for held in workers:
        await held.until(lambda held=held: len(held.begun) >= 190)
    assert all(200 - 16 < held.runner.in_flight < 200 + 16 for held in workers)


def jobs(count: int, dispatch: int = 1) -> list[NewJob]:
    """One job for each of so many conversations."""
    return list(group_into_jobs([Due(Ref(0, f"{number:016x}"), dispatch) for number in range(count)], 1))


async def test_enqueued_jobs_start_here(queue: JobQueue, start_worker):
    """As many as there is room for, less the one that this worker's pop waits for. The others stay in the queue."""
    held = start_worker(10)
    await held.until(lambda: held.runner._reserved == 1)
    await held.runner.enqueue_and_dequeue(jobs(30))
    assert held.runner.in_flight >= 9
    await held.until(lambda: len(held.begun) == 10)
    assert sorted(held.begun) == [job.argument for job in jobs(10)]
    assert queue.rq.connection.llen(queue.rq.key) == 20


async def test_two_calls_do_not_fill_the_same_room(queue: JobQueue, start_worker):
    """The room that one call has reserved is not available to the other."""
    held = start_worker(10)
    await held.until(lambda: held.runner._reserved == 1)
    await asyncio.gather(held.runner.enqueue_and_dequeue(jobs(8, 1)), held.runner.enqueue_and_dequeue(jobs(8, 2)))
    await held.until(lambda: held.runner.in_flight == 10)
    await asyncio.sleep(0.1)
    assert held.runner.in_flight == 10
    assert queue.rq.connection.llen(queue.rq.key) == 6


async def test_a_worker_that_stops_begins_nothing(queue: JobQueue, start_worker):
    """The jobs that it enqueues stay in the queue, for other workers."""
    held = start_worker(10)
    held.runner.stop()
    await held.runner.enqueue_and_dequeue(jobs(3))
    assert held.runner.in_flight == 0
    assert queue.rq.connection.llen(queue.rq.key) == 3


async def test_an_empty_queue_is_not_read_again_at_once(queue: JobQueue, monkeypatch):
    """A queue that was empty counts as empty for a while. While jobs may be left in it, it is read each time."""
    await queue.enqueue_and_dequeue(jobs(2), 2)
    monkeypatch.setattr(queue._commands, "command", None)
    assert await queue.queued() == set()
    monkeypatch.undo()
    await queue.enqueue_and_dequeue(jobs(3, 2), 1)
    assert await queue.queued() == {Ref.parse(job.argument) for job in jobs(3)[1:]}
    await queue.enqueue_and_dequeue((), 9)
    queue.rq.connection.rpush(queue.rq.key, f"{ANA}-1")
    assert await queue.queued() == set()
    monkeypatch.setattr("worker.rq.queue.EMPTY_FOR_S", 0.0)
    assert await queue.queued() == {Ref.parse(ANA)}


async def test_a_server_that_refuses_writes_is_tried_again(start_server, make_settings, monkeypatch):
    """`fails` is True from the first refusal until the server accepts a write again."""
    server = start_server()
    client = connect(server.url, timeout_s=WITHIN_S)
    queue = JobQueue(make_settings(), server.client(), client)
    monkeypatch.setattr("worker.rq.queue.RECOVERY_CHECK_S", 0.01)
    server.client().config_set("min-replicas-to-write", 1)
    with pytest.raises(StoreUnavailable):
        await queue.enqueue_and_dequeue(jobs(1), 1)
    await asyncio.sleep(0.1)
    assert queue.fails
    server.client().config_set("min-replicas-to-write", 0)
    async with asyncio.timeout(WITHIN_S):
        while queue.fails:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await queue.enqueue_and_dequeue(jobs(1), 1)).job_ids == [jobs(1)[0].job_id.encode()]
    await queue.close()
    await client.aclose()


async def test_a_job_that_is_there_twice(queue: JobQueue, start_worker):
    """It is flushed once, and every flush that was started is counted."""
    queue.rq.connection.rpush(queue.rq.key, f"{ANA}-1", f"{ANA}-1", f"{BIA}-1")
    held = start_worker()
    await held.until(lambda: BIA in held.begun)
    assert held.begun == [ANA, BIA]
    assert held.runner.in_flight == 2


UNREADABLE: dict[str, dict[Any, Any]] = {
    "time in another format": {"created_at": "yesterday", "data": "x"},
    "number that is none": {"created_at": "2026-11-26T18:00:00.000000Z", "retries_left": "many", "data": "x"},
    "unknown status": {"created_at": "2026-11-26T18:00:00.000000Z", "status": "dreaming", "data": "x"},
    "no data": {"created_at": "2026-11-26T18:00:00.000000Z"},
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_job_that_rq_cannot_read(queue: JobQueue, start_worker, name: str):
    """It is removed, and the jobs beside it are run."""
    connection = queue.rq.connection
    connection.hset("rq:job:somebody-else", mapping=UNREADABLE[name])
    await queue.enqueue_and_dequeue([NewJob(f"{ANA}-1", ANA, 1)], 0)
    connection.rpush(queue.rq.key, "somebody-else")
    await queue.enqueue_and_dequeue([NewJob(f"{BIA}-1", BIA, 1)], 0)
    held = start_worker()
    held.let_go.set()
    intermediate = queue.rq.intermediate_queue_key
    await held.until(lambda: len(held.begun) == 2 and not connection.exists(intermediate))
    assert not connection.exists(queue.rq.key)


async def test_an_id_that_is_no_text(queue: JobQueue, start_worker):
    """It ends neither the worker nor the clean-up, which removes it."""
    connection, intermediate = queue.rq.connection, queue.rq.intermediate_queue_key
    connection.rpush(queue.rq.key, f"{ANA}-1", b"\xff\xfe-1", f"{BIA}-1")
    assert await queue.queued() == {Ref.parse(ANA), Ref.parse(BIA)}
    held = start_worker()
    held.let_go.set()
    await held.until(lambda: len(held.begun) == 2 and connection.lrange(intermediate, 0, -1) == [b"\xff\xfe-1"])
    for _ in range(2):
        held.worker.clean_registries()
        connection.delete(queue.rq.registry_cleaning_key)
    assert not connection.exists(intermediate)


async def test_an_outage_fails_no_job(queue: JobQueue) -> None:
    """A flush that Redis broke off is due again, so its job is gone and not failed; a dead letter's job redrives it."""
    worker = HeldWorker(queue, 5)

    async def broken(ref: Ref, on_batch: OnBatch) -> str:
        worker.begun.append(str(ref))
        raise StoreUnavailable("away")

    worker.runner._work = Work(broken, worker.redrive)
    letter = f"{ANA}-1700000000000-0123456789ab"
    await queue.enqueue_and_dequeue([NewJob(f"{ANA}-1", ANA, 1), NewJob(f"dead-{letter}", letter, 1)], 0)
    await worker.until(lambda: bool(worker.begun and worker.redriven))
    await worker.close()
    await worker.worker.registries.write()
    assert worker.redriven == [letter]
    assert queue.rq.failed_job_registry.count == 0
    assert not queue.rq.connection.exists(f"rq:job:{ANA}-1", f"rq:job:dead-{letter}")
