"""Work that has piled up: workers that were down, many dispatchers at once, thousands due, and far more waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest
from rq import Queue, Worker

from buffer.connect import connect
from buffer.keys import Ref, ref_of
from buffer.models import Append
from buffer.store import Store
from tests.conftest import Clock
from tests.integration.agent import Answer
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.fleet import Fleet, person
from tests.integration.sender import Said, Sender
from tests.integration.storm import Storm
from tests.integration.waiting import until
from tests.messages import message
from tests.servers import Server
from worker.dispatcher import Dispatcher
from worker.job import ref_of_job
from worker.queue import FlushQueue

LOT = 1000
FIVE_MINUTES_MS = 300_000


def store_all(
    fleet: Fleet, messages: Sequence[Append], clock: Callable[[], int] | None = None, **settings: object
) -> None:
    """Append messages straight through the store, with other settings or another time than the fleet's."""

    async def append(store: Store) -> None:
        for start in range(0, len(messages), LOT):
            await store.append(messages[start : start + LOT])

    fleet.ask(append, clock, **settings)


def one_each(people: Sequence[str]) -> list[Append]:
    """One message of each person."""
    return [message(f"{one}-m", person(one)) for one in people]


def test_people_overdue_for_minutes_are_called_once_oldest_first(start_fleet: Callable[..., Fleet]) -> None:
    """All workers were down: whoever has waited longest comes first, and RQ's queue stays short."""
    fleet = start_fleet(worker_concurrency=1)
    people = [f"person-{number:03d}" for number in range(80)]
    began_ms = int(time.time() * 1000) - FIVE_MINUTES_MS
    for number, one in enumerate(people):
        store_all(fleet, one_each([one]), clock=Clock(began_ms + 10 * number))
    queue = Queue("flush", connection=fleet.redis)
    lengths: list[int] = []
    with Storm(lambda: lengths.append(queue.count), every_s=0.01):
        fleet.worker()
        fleet.wait_drained()
    assert [call.peer for call in fleet.agent.calls] == people
    assert all(call.attempt == 1 for call in fleet.agent.calls)
    assert max(lengths) <= 2


class NoRoom:
    """A place to run flushes that has none: everything must go through RQ."""

    room = 0

    def run_inline(self, ref: Ref) -> bool:
        """Refuse."""
        return False


def test_ten_dispatchers_make_one_job_for_each_person(start_fleet: Callable[..., Fleet]) -> None:
    """Ten processes' dispatchers see the same people become due: one job each, one call each."""
    fleet = start_fleet()
    people = [f"person-{number:03d}" for number in range(200)]
    store_all(fleet, one_each(people), clock=Clock(int(time.time() * 1000) - 2000))
    settings = fleet.settings_object()

    async def turns() -> None:
        stores = [Store(connect(fleet.server.url, timeout_s=30), settings) for _ in range(10)]
        queues = [FlushQueue(settings, fleet.server.client()) for _ in range(10)]
        dispatchers = [Dispatcher(*pair, settings, NoRoom()) for pair in zip(stores, queues, strict=True)]
        await asyncio.gather(*(dispatcher.turn() for dispatcher in dispatchers for _ in range(3)))
        for store, queue in zip(stores, queues, strict=True):
            await store.close()
            queue.close()

    asyncio.run(turns())
    assert Queue("flush", connection=fleet.redis).count == 200
    fleet.worker()
    fleet.wait_drained()
    assert sorted(call.peer for call in fleet.agent.calls) == people


async def test_ten_dispatchers_hand_each_person_out_once(
    valkey: Server, open_store: Callable[..., Store], clock: Clock
) -> None:
    """At the level of the store: no due conversation is handed out twice, each dispatcher's lot is oldest first."""
    stores = [open_store(valkey) for _ in range(10)]
    for number in range(500):
        await stores[0].append(one_each([f"person-{number:03d}"]))
        clock.advance(1)
    clock.advance(stores[0].settings.window_ms)
    lots = await asyncio.gather(*(store.dispatch(0, 30) for store in stores for _ in range(2)))
    people = [str(ref_of(person(f"person-{number:03d}"), 1)) for number in range(500)]
    places = {ref: place for place, ref in enumerate(people)}
    handed_out = [[places[due.ref] for due in lot.due] for lot in lots]
    assert all(lot == sorted(lot) for lot in handed_out)
    assert sorted(place for lot in handed_out for place in lot) == list(range(500))
    numbers = [due.dispatch for lot in lots for due in lot.due]
    assert len(set(numbers)) == 500


def test_three_workers_share_the_load(start_fleet: Callable[..., Fleet]) -> None:
    """Three processes with 600 people due: each is dispatched once, called once, and every worker takes its part."""
    fleet = start_fleet(worker_concurrency=20, visibility_time=60.0)
    fleet.agent.default = Answer(delay_s=0.05)
    people = [f"person-{number:03d}" for number in range(600)]
    store_all(fleet, one_each(people), clock=Clock(int(time.time() * 1000) - 2000))
    queue = Queue("flush", connection=fleet.redis)
    lengths: list[int] = []
    with Storm(lambda: lengths.append(queue.count), every_s=0.01):
        fleet.workers(3)
        fleet.wait_drained()
    counters = fleet.snapshot()["counters"]
    assert (counters["dispatches"], counters["acked"]) == (600, 600)
    assert sorted(call.peer for call in fleet.agent.calls) == people
    assert max(lengths) <= 2 * 3 * 20
    shares = [worker.successful_job_count for worker in Worker.all(connection=fleet.redis)]
    print(f"600 flushes shared by three workers (as far as written yet): {shares}; longest queue {max(lengths)}")
    until("all is written", lambda: sum(one.successful_job_count for one in Worker.all(connection=fleet.redis)) == 600)
    assert all(worker.successful_job_count > 0 for worker in Worker.all(connection=fleet.redis))


@pytest.mark.parametrize("count", [6, 60], ids=["room left", "full"])
def test_a_queue_that_waits_holds_one_job_a_person(start_fleet: Callable[..., Fleet], count: int) -> None:
    """No answer for longer than the visibility time: no more jobs than fit, the rest stays in the index."""
    fleet = start_fleet(worker_concurrency=2, visibility_time=0.5)
    fleet.agent.default = Answer(held=True)
    people = [f"person-{number:02d}" for number in range(count)]
    began_ms = int(time.time() * 1000) - FIVE_MINUTES_MS
    for number, one in enumerate(people):
        store_all(fleet, one_each([one]), clock=Clock(began_ms + 10 * number))
    queue = Queue("flush", connection=fleet.redis)
    seen: list[list[str]] = []

    def look() -> None:
        seen.append([str(ref_of_job(job_id)) for job_id in queue.get_job_ids()])

    with Storm(look, every_s=0.01):
        fleet.workers(2)
        until("four calls are under way", lambda: len(fleet.agent.calls) == 4)
        full = len(seen)
        until("the queue has waited for long", lambda: len(seen) > full + 200)
        fleet.agent.release()
        fleet.wait_drained()
    assert all(len(refs) == len(set(refs)) <= 2 * 2 * 2 for refs in seen)
    assert max(map(len, seen)) >= min(4, count - 4)
    assert sorted(call.peer for call in fleet.agent.calls) == people


def test_thousands_due_in_the_same_millisecond(start_fleet: Callable[..., Fleet]) -> None:
    """Three thousand people become due at once: all are called once, none is dropped."""
    fleet = start_fleet()
    fleet.workers(2)
    people = [f"person-{number:04d}" for number in range(3000)]
    store_all(fleet, one_each(people), clock=Clock(int(time.time() * 1000)))
    began = time.monotonic()
    fleet.wait_drained()
    print(f"3000 people due at once were called within {time.monotonic() - began:.1f} s")
    assert sorted(call.peer for call in fleet.agent.calls) == people


def test_twenty_thousand_waiting_do_not_delay_the_others(
    start_fleet: Callable[..., Fleet], report: Callable[[Verdict], None]
) -> None:
    """20,000 people wait for a far deadline; 300 others, 30 a second, are called in time."""
    fleet = start_fleet()
    fleet.workers(2)
    webhook = fleet.webhook(2)
    waiting = one_each([f"waiting-{number:05d}" for number in range(20_000)])
    store_all(fleet, waiting, message_buffer_timeout=600.0, message_buffer_max_wait=900.0)
    assert fleet.pending() == 20_000
    sender = Sender(webhook)
    sender.play(Said(number / 30, f"person-{number:03d}", f"m-{number}") for number in range(300))
    fleet.wait_drained(left=20_000)
    verdict = judge(sender.sent, fleet.agent.calls, Rules())
    report(verdict)
    assert verdict.problems == []
    assert len(fleet.agent.calls) == 300
    assert fleet.pending() == 20_000
    assert verdict.percentile(1) < 5000 + fleet.agent.stalled_ms
