"""Measure flushes per second of one worker process with an instant agent, beside RQ's own workers and BullMQ's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from benchmarks.agent import running_agent
from benchmarks.figures import Figure, Meaningless, Missing, attempt
from benchmarks.machine import MEASURED_CORE, OTHER_CORE, output, process, python, valkey
from benchmarks.peers import node
from benchmarks.pending import append, counter, environment, refs, settings_for
from benchmarks.table import Row
from config.settings import Settings
from worker.rq.job_ids import JOB_FUNCTION

TIMEOUT_S = 60.0
WINDOW_S = 0.001
FLUSHES = 12_000
ROUNDS = 2
NOTHING = "benchmarks.programs.jobs.nothing"
WHAT = "flushes, instant agent, one worker process (flushes/s)"
STOCK = {
    "stock rq Worker (forks), the same jobs": ("fork", JOB_FUNCTION, 120),
    "stock rq SimpleWorker, the same jobs": ("simple", JOB_FUNCTION, 200),
    "stock rq Worker with a job that does nothing": ("fork", NOTHING, 150),
    "stock rq SimpleWorker with a job that does nothing": ("simple", NOTHING, 600),
}
"""RQ's own workers: kind, job, and a number of jobs that takes some seconds."""


def measure() -> Iterator[Row]:
    """Take the best of some rounds of our worker and BullMQ's in turn, then measure each stock worker."""
    rounds = [(attempt(ours), attempt(_bullmq)) for _ in range(ROUNDS)]
    best = highest([mine for mine, _ in rounds])
    for name, how in STOCK.items():
        yield Row(WHAT, best, name, attempt(lambda how=how: _stock(*how)))  # type: ignore[misc]
    yield Row(WHAT, best, "BullMQ worker + undici, 200 at once", highest([theirs for _, theirs in rounds]))


def highest(figures: Sequence[Figure]) -> Figure:
    """Return the highest figure, or the first reason if all are missing."""
    return max((figure for figure in figures if not isinstance(figure, Missing)), default=figures[0])


def ours() -> float:
    """Return our worker's flushes/s. All conversations are due when it starts."""
    with valkey() as url, running_agent() as agent:
        settings = settings_for(url, message_buffer_timeout=WINDOW_S)
        asyncio.run(append(settings, FLUSHES))
        with (
            process(python("cli", "worker"), MEASURED_CORE, **environment(settings, agent.url)),
            redis.Redis.from_url(url) as client,
        ):
            rate = rate_of(lambda: counter(client, settings, "acked"), FLUSHES)
        agent.report(FLUSHES)
    return rate


def _stock(kind: str, job: str, count: int) -> float:
    """Return a stock worker's jobs/s. The jobs in its queue are as our dispatcher makes them."""
    with valkey() as url, running_agent() as agent:
        settings = settings_for(url, message_buffer_timeout=WINDOW_S)
        asyncio.run(append(settings, count))
        with redis.Redis.from_url(url) as client:
            queue = _enqueue(client, settings, job, count)
            stock = python("benchmarks.programs.stock_worker", kind)
            with process(stock, MEASURED_CORE, **environment(settings, agent.url)):
                if job == NOTHING:
                    return rate_of(lambda: count - client.llen(queue.key), count)
                rate = rate_of(lambda: counter(client, settings, "acked"), count)
        agent.report(count)
    return rate


def _enqueue(client: redis.Redis, settings: Settings, job: str, count: int) -> Queue:
    queue = Queue(settings.rq_queue, connection=client, serializer=JSONSerializer)
    names = refs(settings, count)
    jobs = [
        Queue.prepare_data(
            job, args=[name] if job == JOB_FUNCTION else [], result_ttl=0, timeout=180, job_id=f"{name}-1"
        )
        for name in names
    ]
    queue.enqueue_many(jobs)
    return queue


def _bullmq() -> float:
    """Return the jobs/s of BullMQ's worker, with as many jobs at once as ours."""
    with valkey() as url, running_agent() as agent:
        output(node("fill.mjs", FLUSHES, 1, "due"), OTHER_CORE, 60, REDIS_URL=url)
        with process(node("worker.mjs", agent.url), MEASURED_CORE, REDIS_URL=url), redis.Redis.from_url(url) as client:
            rate = rate_of(lambda: FLUSHES - _left(client), FLUSHES)
        agent.report(FLUSHES)
    return rate


def _left(client: redis.Redis) -> int:
    """Return the number of BullMQ's jobs that are not yet done."""
    return int(client.llen("bull:flush:wait")) + int(client.llen("bull:flush:active"))


def rate_of(done: Callable[[], int], count: int) -> float:
    """Return the rate from the first to the last, so that the start of a process does not count."""
    until = time.monotonic() + TIMEOUT_S
    while (first := done()) == 0 and time.monotonic() < until:
        time.sleep(0.005)
    began = time.monotonic()
    while (last := done()) < count:
        if time.monotonic() > until:
            raise Meaningless(f"only {last} of {count} flushes were done within {TIMEOUT_S:g} s")
        time.sleep(0.01)
    return (last - first) / (time.monotonic() - began)
