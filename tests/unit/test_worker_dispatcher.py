"""The dispatcher's passes: the jobs that it makes, the events that start a pass, and its end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest

from buffer import scripts
from buffer.errors import StoreUnavailable
from buffer.keys import Ref
from buffer.models import Conversation
from buffer.store import Store
from tests.messages import message
from tests.servers import Server
from worker import dispatcher
from worker.dispatcher import Dispatcher
from worker.rq.job_ids import NewJob
from worker.rq.queue import JobQueue
from worker.rq.runner import JobRunner

ANA, BIA = (Conversation("evolution", "loja", peer) for peer in ("ana", "bia"))
WITHIN_S = 20.0


class FakeRunner:
    """Records the jobs and flushes that it is given. `ready` holds `enqueue_and_dequeue` up."""

    room = 10

    def __init__(self) -> None:
        self.jobs: list[NewJob] = []
        self.inline: list[str] = []
        self.fails_after: int | None = None
        self.asked = asyncio.Event()
        self.ready = asyncio.Event()
        self.ready.set()

    async def enqueue_and_dequeue(self, jobs: Sequence[NewJob]) -> None:
        self.asked.set()
        await self.ready.wait()
        if len(self.jobs) == self.fails_after:
            raise StoreUnavailable
        self.jobs += jobs

    def run_inline(self, ref: Ref) -> bool:
        self.inline.append(str(ref))
        return True


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def store(valkey: Server, open_store: Any) -> Store:
    return open_store(valkey)


@pytest.fixture
async def running(valkey: Server, store: Store, runner: FakeRunner, prefix: str) -> AsyncIterator[Dispatcher]:
    """A dispatcher that runs until the end of the test."""
    settings = store.settings
    queue = JobQueue(settings, valkey.client(), store.client)
    dispatcher = Dispatcher(store, queue, settings, cast(JobRunner, runner))
    task = asyncio.create_task(dispatcher.run())
    yield dispatcher
    dispatcher.stop()
    runner.ready.set()
    async with asyncio.timeout(WITHIN_S):
        await task
    await queue.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def test_every_deadline_is_announced_or_seen_by_a_pass():
    """append.lua announces only deadlines that may come before the next pass of a dispatcher."""
    [bound_ms] = re.findall(r"DISPATCHER_SLEEP_MS = (\d+)", scripts.script("append").source)
    assert int(bound_ms) > 1000 * (dispatcher.SLEEP_MAX_S + dispatcher.ROUNDING_S)


async def test_a_stop_waits_for_the_pass(store: Store, runner: FakeRunner, running: Dispatcher, clock: Any):
    """The jobs that a running call takes from the queue are started. Then there is no other pass."""
    runner.ready.clear()
    await store.append([message("m1", ANA)])
    clock.advance(store.settings.window_ms)
    running.wake()
    await asyncio.wait_for(runner.asked.wait(), WITHIN_S)
    running.stop()
    passes = running._passes
    await store.append([message("m2", BIA)])
    clock.advance(store.settings.window_ms)
    await asyncio.sleep(0.05)
    assert not runner.jobs
    runner.ready.set()
    await until(lambda: runner.jobs)
    await asyncio.sleep(0.05)
    assert [job.argument for job in runner.jobs] == [str(store.ref(ANA))]
    assert running._passes == passes


async def test_an_expired_timer_finds_what_was_not_known(
    store: Store, runner: FakeRunner, running: Dispatcher, clock: Any
):
    """The announcement was lost: the expiry event alone starts a pass."""
    await until(lambda: running._passes == 1)
    await store.append([message("m1", ANA)])
    clock.advance(store.settings.window_ms)
    running.timer_expired()
    await until(lambda: runner.jobs)
    assert [job.argument for job in runner.jobs] == [str(store.ref(ANA))]


async def test_a_timer_that_expires_after_the_pass_of_another(running: Dispatcher, monkeypatch):
    """The pass that covers the first event started before the second event, which starts another pass."""
    monkeypatch.setattr(dispatcher, "SLEEP_MAX_S", 10 * WITHIN_S)
    running.wake()
    await until(lambda: running._passes == 2)
    running.timer_expired()
    running.wake()
    await until(lambda: running._passes == 3)
    running.timer_expired()
    await until(lambda: running._passes == 4)


async def test_an_expired_timer_starts_no_pass_if_one_has_started(running: Dispatcher, monkeypatch):
    """A thousand events of conversations that were dispatched on time arm one timer and start no pass."""
    monkeypatch.setattr(dispatcher, "SLEEP_MAX_S", WITHIN_S)
    await until(lambda: running._passes == 1)
    running.wake()
    await until(lambda: running._passes == 2)
    for _ in range(1000):
        running.timer_expired()
    running.wake()
    await until(lambda: running._expiry_timer is None)
    await asyncio.sleep(0.05)
    assert running._passes == 3


async def test_what_rq_did_not_take_is_flushed_here(
    store: Store, runner: FakeRunner, running: Dispatcher, clock: Any, monkeypatch: pytest.MonkeyPatch
):
    """RQ's server goes away in the middle: the jobs that it has stay there, the other flushes start without it."""
    monkeypatch.setattr(dispatcher, "JOBS_PER_CALL", 1)
    runner.fails_after = 1
    await store.append([message(f"m{number}", one) for number, one in enumerate((ANA, BIA))])
    clock.advance(store.settings.window_ms)
    running.wake()
    await until(lambda: runner.inline)
    assert len(runner.jobs) == 1
    assert {runner.jobs[0].argument, *runner.inline} == {str(store.ref(ANA)), str(store.ref(BIA))}
    assert len(runner.inline) == 1


async def test_it_is_idle_while_no_partition_waits_for_anything(valkey: Server, open_store: Any, runner: FakeRunner):
    """One conversation in one of several partitions is enough, and a pass without room knows nothing."""
    store = open_store(valkey, redis_partitions=3)
    queue = JobQueue(store.settings, valkey.client(), store.client)
    one = Dispatcher(store, queue, store.settings, cast(JobRunner, runner))
    assert not one.is_idle()
    await one.dispatch_due()
    assert one.is_idle()
    one._queue_max = 0
    await one.dispatch_due()
    assert not one.is_idle()
    one._queue_max = 10
    await store.append([message("m1", ANA)])
    await one.dispatch_due()
    assert not one.is_idle()
    await store.discard(ANA)
    await one.dispatch_due()
    assert one.is_idle()
    await queue.close()
