"""What a flush worker takes from RQ's queue, on a real server: jobs of one or many conversations, and odd ones."""

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
from worker.rq.worker import AsyncWorker

ANA, BIA = "0-aaaaaaaaaaaaaaaa", "0-bbbbbbbbbbbbbbbb"
WITHIN_S = 20.0


class ScriptDriver:
    """A worker whose flushes last until they are let go."""

    def __init__(self, queue: JobQueue, concurrency: int) -> None:
        self.begun: list[str] = []
        self.let_go = asyncio.Event()
        self.worker = AsyncWorker(queue, self.flush, concurrency)
        self.tasks = [
            asyncio.create_task(self.worker.admit()),
            asyncio.create_task(self.worker.registries.write_forever()),
        ]

    async def flush(self, ref: Ref) -> str:
        self.begun.append(str(ref))
        await self.let_go.wait()
        return "acked"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something, and fail with whatever has ended the worker."""
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self.let_go.set()
        self.worker.stop_admission()
        await self.worker.finish(WITHIN_S, asyncio.Event())
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
async def open_desk(queue: JobQueue) -> AsyncIterator[Callable[..., ScriptDriver]]:
    """Open workers on the queue; closed after the test."""
    opened: list[ScriptDriver] = []

    def make(concurrency: int = 10) -> ScriptDriver:
        opened.append(ScriptDriver(queue, concurrency))
        return opened[-1]

    yield make
    for bench in opened:
        await bench.close()


async def test_a_backlog_is_shared(queue: JobQueue, open_desk):
    """A worker takes slices for the room it has, and leaves the others to its neighbour."""
    await queue.enqueue_and_dequeue(
        list(group_into_jobs([Due(Ref(0, f"{number:016x}"), 1) for number in range(400)], 16)), 0
    )
    desks = [open_desk(200), open_desk(200)]
    for bench in desks:
        await bench.until(lambda bench=bench: len(bench.begun) >= 190)
    assert all(200 - 16 < bench.worker.in_flight < 200 + 16 for bench in desks)


def jobs(count: int, dispatch: int = 1) -> list[NewJob]:
    """One job for each of so many conversations."""
    return list(group_into_jobs([Due(Ref(0, f"{number:016x}"), dispatch) for number in range(count)], 1))


async def test_what_is_handed_over_begins_here(queue: JobQueue, open_desk):
    """As far as there is room, less the one conversation that this worker's pop waits for; the others may be taken."""
    bench = open_desk(10)
    await bench.until(lambda: bench.worker._expected == 1)
    await bench.worker.enqueue_and_dequeue(jobs(30))
    assert bench.worker.in_flight >= 9
    await bench.until(lambda: len(bench.begun) == 10)
    assert sorted(bench.begun) == [job.name for job in jobs(10)]
    assert queue.rq.connection.llen(queue.rq.key) == 20


async def test_two_calls_do_not_fill_the_same_room(queue: JobQueue, open_desk):
    """The room that one has asked for is not there for the other."""
    bench = open_desk(10)
    await bench.until(lambda: bench.worker._expected == 1)
    await asyncio.gather(bench.worker.enqueue_and_dequeue(jobs(8, 1)), bench.worker.enqueue_and_dequeue(jobs(8, 2)))
    await bench.until(lambda: bench.worker.in_flight == 10)
    await asyncio.sleep(0.1)
    assert bench.worker.in_flight == 10
    assert queue.rq.connection.llen(queue.rq.key) == 6


async def test_a_worker_that_stops_begins_nothing(queue: JobQueue, open_desk):
    """What it hands over stays in the queue, for others."""
    bench = open_desk(10)
    bench.worker.stop_admission()
    await bench.worker.enqueue_and_dequeue(jobs(3))
    assert bench.worker.in_flight == 0
    assert queue.rq.connection.llen(queue.rq.key) == 3


async def test_an_empty_queue_is_not_read_again_at_once(queue: JobQueue, monkeypatch):
    """Whoever has just seen it empty knows it; as soon as something may be left in it, it is read each time."""
    await queue.enqueue_and_dequeue(jobs(2), 2)
    monkeypatch.setattr(queue._line, "command", None)
    assert await queue.queued() == set()
    monkeypatch.undo()
    await queue.enqueue_and_dequeue(jobs(3, 2), 1)
    assert await queue.queued() == {Ref.parse(job.name) for job in jobs(3)[1:]}
    await queue.enqueue_and_dequeue((), 9)
    queue.rq.connection.rpush(queue.rq.key, f"{ANA}-1")
    assert await queue.queued() == set()
    monkeypatch.setattr("worker.rq.queue.EMPTY_FOR_S", 0.0)
    assert await queue.queued() == {Ref.parse(ANA)}


async def test_a_server_that_refuses_writes_is_tried_again(start_server, make_settings, monkeypatch):
    """The queue says that it fails, from the first refusal until its server takes a write again."""
    server = start_server()
    client = connect(server.url, timeout_s=WITHIN_S)
    queue = JobQueue(make_settings(), server.client(), client)
    monkeypatch.setattr("worker.rq.queue.TRY_AGAIN_S", 0.01)
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


async def test_a_job_that_is_there_twice(queue: JobQueue, open_desk):
    """It is flushed once, and the worker knows of every flush that it has begun."""
    queue.rq.connection.rpush(queue.rq.key, f"{ANA}-1", f"{ANA}-1", f"{BIA}-1")
    bench = open_desk()
    await bench.until(lambda: BIA in bench.begun)
    assert bench.begun == [ANA, BIA]
    assert bench.worker.in_flight == 2


UNREADABLE: dict[str, dict[Any, Any]] = {
    "time in another format": {"created_at": "yesterday", "data": "x"},
    "number that is none": {"created_at": "2026-11-26T18:00:00.000000Z", "retries_left": "many", "data": "x"},
    "unknown status": {"created_at": "2026-11-26T18:00:00.000000Z", "status": "dreaming", "data": "x"},
    "no data": {"created_at": "2026-11-26T18:00:00.000000Z"},
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_job_that_rq_cannot_read(queue: JobQueue, open_desk, name: str):
    """It goes, and the jobs beside it are done."""
    connection = queue.rq.connection
    connection.hset("rq:job:somebody-else", mapping=UNREADABLE[name])
    await queue.enqueue_and_dequeue([NewJob(f"{ANA}-1", ANA, 1)], 0)
    connection.rpush(queue.rq.key, "somebody-else")
    await queue.enqueue_and_dequeue([NewJob(f"{BIA}-1", BIA, 1)], 0)
    bench = open_desk()
    bench.let_go.set()
    held = queue.rq.intermediate_queue_key
    await bench.until(lambda: len(bench.begun) == 2 and not connection.exists(held))
    assert not connection.exists(queue.rq.key)


async def test_an_id_that_is_no_text(queue: JobQueue, open_desk):
    """It ends neither the worker nor its clean-up, which takes it away."""
    connection, held = queue.rq.connection, queue.rq.intermediate_queue_key
    connection.rpush(queue.rq.key, f"{ANA}-1", b"\xff\xfe-1", f"{BIA}-1")
    assert await queue.queued() == {Ref.parse(ANA), Ref.parse(BIA)}
    bench = open_desk()
    bench.let_go.set()
    await bench.until(lambda: len(bench.begun) == 2 and connection.lrange(held, 0, -1) == [b"\xff\xfe-1"])
    for _ in range(2):
        bench.worker.clean_registries()
        connection.delete(queue.rq.registry_cleaning_key)
    assert not connection.exists(held)
