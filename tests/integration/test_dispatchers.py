"""Several dispatchers share what is due: nothing twice, nothing beyond what the queue has room for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from rq import Queue, Worker

from buffer.keys import ref_of
from buffer.store import Store
from tests.conftest import Clock
from tests.integration.agent import Answer
from tests.integration.backlog import one_each, store_all
from tests.integration.deployment import Deployment, person
from tests.integration.fault_injector import FaultInjector
from tests.integration.polling import until
from tests.servers import Server
from worker.rq.job_ids import refs_of_id

LOT = 1000
FIVE_MINUTES_MS = 300_000


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
    people = [ref_of(person(f"person-{number:03d}"), 1) for number in range(500)]
    places = {ref: place for place, ref in enumerate(people)}
    handed_out = [[places[due.ref] for due in lot.due] for lot in lots]
    assert all(lot == sorted(lot) for lot in handed_out)
    assert sorted(place for lot in handed_out for place in lot) == list(range(500))
    numbers = [due.dispatch for lot in lots for due in lot.due]
    assert len(set(numbers)) == 500


def test_three_workers_share_the_load(start_deployment: Callable[..., Deployment]) -> None:
    """Three processes with 600 people due: each is dispatched once, called once, and every worker takes its part."""
    deployment = start_deployment(worker_concurrency=15, visibility_time=60.0)
    deployment.agent.default = Answer(delay_s=0.05)
    people = [f"person-{number:03d}" for number in range(600)]
    store_all(deployment, one_each(people), clock=Clock(int(time.time() * 1000) - 2000))
    queue = Queue("flush", connection=deployment.redis)
    lengths: list[int] = []
    with FaultInjector(lambda: lengths.append(queue.count), every_s=0.01):
        deployment.workers(3)
        deployment.wait_drained()
    counters = deployment.counters()
    assert (counters["dispatches"], counters["acked"]) == (600, 600)
    assert sorted(call.peer for call in deployment.agent.calls) == people
    assert max(lengths) <= 2 * 3 * 15
    shares = [worker.successful_job_count for worker in Worker.all(connection=deployment.redis)]
    print(f"600 flushes shared by three workers (as far as written yet): {shares}; longest queue {max(lengths)}")
    until(
        "all is written",
        lambda: sum(one.successful_job_count for one in Worker.all(connection=deployment.redis)) == 600,
    )
    assert all(worker.successful_job_count > 0 for worker in Worker.all(connection=deployment.redis))


@pytest.mark.parametrize("count", [6, 60], ids=["room left", "full"])
def test_a_queue_that_waits_holds_one_job_a_person(start_deployment: Callable[..., Deployment], count: int) -> None:
    """No answer for longer than the visibility time: no more jobs than fit, the rest stays in the index."""
    deployment = start_deployment(worker_concurrency=2, visibility_time=0.5)
    deployment.agent.default = Answer(held=True)
    people = [f"person-{number:02d}" for number in range(count)]
    began_ms = int(time.time() * 1000) - FIVE_MINUTES_MS
    for number, one in enumerate(people):
        store_all(deployment, one_each([one]), clock=Clock(began_ms + 10 * number))
    queue = Queue("flush", connection=deployment.redis)
    seen: list[list[str]] = []

    def look() -> None:
        seen.append([str(ref) for job_id in queue.get_job_ids() for ref in refs_of_id(job_id)])

    with FaultInjector(look, every_s=0.01):
        deployment.workers(2)
        until("four calls are under way", lambda: len(deployment.agent.calls) == 4)
        full = len(seen)
        until("the queue has waited for long", lambda: len(seen) > full + 200)
        deployment.agent.release()
        deployment.wait_drained()
    assert all(len(refs) == len(set(refs)) <= 2 * 2 * 2 for refs in seen)
    assert max(map(len, seen)) >= min(4, count - 4)
    assert sorted(call.peer for call in deployment.agent.calls) == people
