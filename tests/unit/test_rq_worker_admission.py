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
from worker.rq.job_ids import NewJob, slices_of
from worker.rq.queue import FlushQueue
from worker.rq.worker import FlushWorker

ANA, BIA = "0-aaaaaaaaaaaaaaaa", "0-bbbbbbbbbbbbbbbb"
WITHIN_S = 20.0


class Desk:
    """A worker whose flushes last until they are let go."""

    def __init__(self, queue: FlushQueue, concurrency: int) -> None:
        self.begun: list[str] = []
        self.let_go = asyncio.Event()
        self.worker = FlushWorker(queue, self.flush, concurrency)
        self.tasks = [asyncio.create_task(self.worker.admit()), asyncio.create_task(self.worker.books.keep())]

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
        self.worker.books.close()


@pytest.fixture
async def queue(valkey: Server, make_settings, prefix: str) -> AsyncIterator[FlushQueue]:
    """An RQ queue of this test's own."""
    client = connect(valkey.url, timeout_s=WITHIN_S)
    queue = FlushQueue(make_settings(rq_queue=prefix), valkey.client(), client)
    yield queue
    await queue.close()
    await client.aclose()


@pytest.fixture
async def open_desk(queue: FlushQueue) -> AsyncIterator[Callable[..., Desk]]:
    """Open workers on the queue; closed after the test."""
    opened: list[Desk] = []

    def make(concurrency: int = 10) -> Desk:
        opened.append(Desk(queue, concurrency))
        return opened[-1]

    yield make
    for desk in opened:
        await desk.close()


async def test_a_backlog_is_shared(queue: FlushQueue, open_desk):
    """A worker takes slices for the room it has, and leaves the others to its neighbour."""
    await queue.hand_over(list(slices_of([Due(f"0-{number:016x}", 1) for number in range(400)], 16)), 0)
    desks = [open_desk(200), open_desk(200)]
    for desk in desks:
        await desk.until(lambda desk=desk: len(desk.begun) >= 190)
    assert all(200 - 16 < desk.worker.in_flight < 200 + 16 for desk in desks)


def jobs(count: int, dispatch: int = 1) -> list[NewJob]:
    """One job for each of so many conversations."""
    return list(slices_of([Due(f"0-{number:016x}", dispatch) for number in range(count)], 1))


async def test_what_is_handed_over_begins_here(queue: FlushQueue, open_desk):
    """As far as there is room, less the one conversation that this worker's pop waits for; the others may be taken."""
    desk = open_desk(10)
    await desk.until(lambda: desk.worker._expected == 1)
    await desk.worker.hand_over(jobs(30))
    assert desk.worker.in_flight >= 9
    await desk.until(lambda: len(desk.begun) == 10)
    assert sorted(desk.begun) == [job.name for job in jobs(10)]
    assert queue.rq.connection.llen(queue.rq.key) == 20


async def test_two_calls_do_not_fill_the_same_room(queue: FlushQueue, open_desk):
    """The room that one has asked for is not there for the other."""
    desk = open_desk(10)
    await desk.until(lambda: desk.worker._expected == 1)
    await asyncio.gather(desk.worker.hand_over(jobs(8, 1)), desk.worker.hand_over(jobs(8, 2)))
    await desk.until(lambda: desk.worker.in_flight == 10)
    await asyncio.sleep(0.1)
    assert desk.worker.in_flight == 10
    assert queue.rq.connection.llen(queue.rq.key) == 6


async def test_a_worker_that_stops_begins_nothing(queue: FlushQueue, open_desk):
    """What it hands over stays in the queue, for others."""
    desk = open_desk(10)
    desk.worker.stop_admission()
    await desk.worker.hand_over(jobs(3))
    assert desk.worker.in_flight == 0
    assert queue.rq.connection.llen(queue.rq.key) == 3


async def test_an_empty_queue_is_not_read_again_at_once(queue: FlushQueue, monkeypatch):
    """Whoever has just seen it empty knows it; as soon as something may be left in it, it is read each time."""
    await queue.hand_over(jobs(2), 2)
    monkeypatch.setattr(queue._line, "command", None)
    assert await queue.queued() == set()
    monkeypatch.undo()
    await queue.hand_over(jobs(3, 2), 1)
    assert await queue.queued() == {job.name for job in jobs(3)[1:]}
    await queue.hand_over((), 9)
    queue.rq.connection.rpush(queue.rq.key, f"{ANA}-1")
    assert await queue.queued() == set()
    monkeypatch.setattr("worker.rq.queue.EMPTY_FOR_S", 0.0)
    assert await queue.queued() == {ANA}


async def test_a_server_that_refuses_writes_is_tried_again(start_server, make_settings, monkeypatch):
    """The queue says that it fails, from the first refusal until its server takes a write again."""
    server = start_server()
    client = connect(server.url, timeout_s=WITHIN_S)
    queue = FlushQueue(make_settings(), server.client(), client)
    monkeypatch.setattr("worker.rq.queue.TRY_AGAIN_S", 0.01)
    server.client().config_set("min-replicas-to-write", 1)
    with pytest.raises(StoreUnavailable):
        await queue.hand_over(jobs(1), 1)
    await asyncio.sleep(0.1)
    assert queue.fails
    server.client().config_set("min-replicas-to-write", 0)
    async with asyncio.timeout(WITHIN_S):
        while queue.fails:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await queue.hand_over(jobs(1), 1)).job_ids == [jobs(1)[0].job_id.encode()]
    await queue.close()
    await client.aclose()


async def test_a_job_that_is_there_twice(queue: FlushQueue, open_desk):
    """It is flushed once, and the worker knows of every flush that it has begun."""
    queue.rq.connection.rpush(queue.rq.key, f"{ANA}-1", f"{ANA}-1", f"{BIA}-1")
    desk = open_desk()
    await desk.until(lambda: BIA in desk.begun)
    assert desk.begun == [ANA, BIA]
    assert desk.worker.in_flight == 2


UNREADABLE: dict[str, dict[Any, Any]] = {
    "time in another format": {"created_at": "yesterday", "data": "x"},
    "number that is none": {"created_at": "2026-11-26T18:00:00.000000Z", "retries_left": "many", "data": "x"},
    "unknown status": {"created_at": "2026-11-26T18:00:00.000000Z", "status": "dreaming", "data": "x"},
    "no data": {"created_at": "2026-11-26T18:00:00.000000Z"},
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_job_that_rq_cannot_read(queue: FlushQueue, open_desk, name: str):
    """It goes, and the jobs beside it are done."""
    connection = queue.rq.connection
    connection.hset("rq:job:somebody-else", mapping=UNREADABLE[name])
    await queue.hand_over([NewJob(f"{ANA}-1", ANA, 1)], 0)
    connection.rpush(queue.rq.key, "somebody-else")
    await queue.hand_over([NewJob(f"{BIA}-1", BIA, 1)], 0)
    desk = open_desk()
    desk.let_go.set()
    held = queue.rq.intermediate_queue_key
    await desk.until(lambda: len(desk.begun) == 2 and not connection.exists(held))
    assert not connection.exists(queue.rq.key)


async def test_an_id_that_is_no_text(queue: FlushQueue, open_desk):
    """It ends neither the worker nor its clean-up, which takes it away."""
    connection, held = queue.rq.connection, queue.rq.intermediate_queue_key
    connection.rpush(queue.rq.key, f"{ANA}-1", b"\xff\xfe-1", f"{BIA}-1")
    assert await queue.queued() == {ANA, BIA}
    desk = open_desk()
    desk.let_go.set()
    await desk.until(lambda: len(desk.begun) == 2 and connection.lrange(held, 0, -1) == [b"\xff\xfe-1"])
    for _ in range(2):
        desk.worker.clean_registries()
        connection.delete(queue.rq.registry_cleaning_key)
    assert not connection.exists(held)
