"""A step of the Redis server's clock: leases are renewed first, and none is taken over for the time of a lease."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from buffer.models import Conversation
from buffer.store import Store
from tests.conftest import Clock
from tests.messages import message
from tests.servers import Server
from tests.unit.test_worker_dispatcher import FakeRunner
from worker.dispatcher import Dispatcher
from worker.leases import Leases
from worker.rq.queue import JobQueue
from worker.rq.runner import JobRunner
from worker.server_clock import ServerClock

ANA, BIA = (Conversation("generic", "loja", peer) for peer in ("ana", "bia"))
STEP_MS = 600_000


def test_a_step_is_what_cannot_be_a_delay():
    """The server read its clock between question and answer: only what that cannot explain is a step."""
    clock = ServerClock()
    assert clock.step_s(0, 1_000_000, 10.0, 10.1) == 0.0
    assert clock.step_s(0, 1_001_000, 11.0, 11.1) == 0.0
    assert clock.step_s(0, 1_031_000, 12.0, 41.0) == 0.0
    assert clock.step_s(0, 1_632_000, 42.0, 42.1) == pytest.approx(600.0 - 29.1, abs=0.2)
    assert clock.step_s(0, 1_633_000, 43.0, 43.1) == 0.0


def test_the_clocks_of_partitions_are_apart():
    """In a cluster each partition may be on another server, with another clock. A step back is none."""
    clock = ServerClock()
    assert clock.step_s(0, 1_000_000, 10.0, 10.0) == 0.0
    assert clock.step_s(1, 9_000_000, 10.0, 10.0) == 0.0
    assert clock.step_s(1, 9_001_000, 11.0, 11.0) == 0.0
    assert clock.step_s(0, 500_000, 11.0, 11.0) == 0.0


class Worker:
    """The dispatcher and the leases of one worker process."""

    def __init__(self, server: Server, store: Store) -> None:
        self.store = store
        self.queue = JobQueue(store.settings, server.client(), store.client)
        self.runner = FakeRunner()
        self.leases = Leases(store, store.settings)
        runner = cast(JobRunner, self.runner)
        self.dispatcher = Dispatcher(store, self.queue, store.settings, runner, self.leases.renew_all)

    def jobs(self) -> list[str]:
        """The conversations that were dispatched."""
        return [job.argument for job in self.runner.jobs]


async def claim(store: Store, clock: Clock, who: Conversation) -> str:
    """A batch in flight; its token."""
    await store.append([message("m", who)])
    clock.advance(store.settings.window_ms)
    batch = (await store.claim(store.ref(who), "w1")).batch
    assert batch is not None
    return batch.token


async def test_a_step_takes_over_no_lease(valkey: Server, open_store: Any, clock: Clock):
    """Ten minutes forward: the call in hand keeps its lease, and a burst that is due goes out beside it."""
    store = open_store(valkey)
    ours, other = Worker(valkey, store), Worker(valkey, store)
    for one in (ours, other):
        await one.dispatcher.dispatch_due()
    token = await claim(store, clock, ANA)
    await store.append([message("m", BIA)])
    held = asyncio.Event()

    async def call() -> None:
        with ours.leases.of(store.ref(ANA), token, asyncio.get_running_loop().time()):
            held.set()
            await asyncio.Event().wait()

    calling = asyncio.create_task(call())
    await held.wait()
    clock.advance(STEP_MS)
    await other.dispatcher.dispatch_due()
    assert other.jobs() == [str(store.ref(BIA))]
    await ours.dispatcher.dispatch_due()
    assert (await store.claim(store.ref(ANA), "w2")).status == "busy"
    assert not calling.done()
    calling.cancel()
    for one in (ours, other):
        await one.queue.close()


async def test_a_lease_is_taken_over_later(valkey: Server, open_store: Any, clock: Clock):
    """After the time of a lease its worker is dead, and not only surprised."""
    store = open_store(valkey)
    worker = Worker(valkey, store)
    await worker.dispatcher.dispatch_due()
    await claim(store, clock, ANA)
    clock.advance(STEP_MS)
    await worker.dispatcher.dispatch_due()
    assert worker.jobs() == []
    assert worker.dispatcher._no_takeover_until > asyncio.get_running_loop().time()
    worker.dispatcher._no_takeover_until = 0.0
    clock.advance(store.settings.visibility_ms)
    worker.dispatcher._step_max_s = STEP_MS
    await worker.dispatcher.dispatch_due()
    assert worker.jobs() == [str(store.ref(ANA))]
    await worker.queue.close()


async def test_a_job_in_the_queue_takes_nothing_over(valkey: Server, open_store: Any, clock: Clock):
    """A claim by whoever did not see the step, as a worker that starts only now, is refused too."""
    store = open_store(valkey)
    worker = Worker(valkey, store)
    await worker.dispatcher.dispatch_due()
    await claim(store, clock, ANA)
    clock.advance(STEP_MS)
    await worker.dispatcher.dispatch_due()
    assert (await store.claim(store.ref(ANA), "w2")).status == "busy"
    clock.advance(store.settings.lease_ms)
    assert (await store.claim(store.ref(ANA), "w2")).status == "batch"
    await worker.queue.close()
