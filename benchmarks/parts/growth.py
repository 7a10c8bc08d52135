"""Measure how lateness and memory grow with the number of pending conversations, from 1,000 to 1,000,000."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import redis

from benchmarks import enqueue_in, expiry, naive, plots
from benchmarks.agent import running_agent
from benchmarks.asyncio_buffer import InProcess, in_process
from benchmarks.figures import Figure, Meaningless, Missing, Spread, attempt
from benchmarks.machine import MEASURED_CORE, OTHER_CORE, output, process, python, require_memory, valkey
from benchmarks.peers import node
from benchmarks.pending import (
    CONVERSATIONS_PER_APPEND,
    LONG_WINDOW,
    append,
    environment,
    fill,
    settings_for,
    usage_per_conversation,
)
from benchmarks.table import Row
from benchmarks.trickle import FLUSHES_PER_S, trickle, warm_up
from benchmarks.usage import least_disturbed, used_memory, wait_until_idle

REPAIR_HEAD_START_S = 8.0
SIZES = (1_000, 10_000, 100_000, 1_000_000)
FLUSHES = FLUSHES_PER_S * 6
TARGET_P99_MS, TARGET_BYTES, TARGET_ID_BYTES = 25.0, 1024.0, 32.0
GB_PER_PENDING = 4e-6
"""Spare memory (GB) for one pending conversation. The in-process buffer needs it."""

BULLMQ_JOBS = 10_000


class Point(NamedTuple):
    """Our figures for one number of pending conversations."""

    bytes_by_difference: float
    bytes_by_usage: float
    lateness: Spread | Missing


def measure() -> Iterator[Row]:
    """Measure our figures at each size, then the baselines. The baselines that mostly wait run side by side."""
    ours = {size: attempt(lambda size=size: _ours(size)) for size in SIZES}  # type: ignore[misc]
    in_one = {size: attempt(lambda size=size: _in_process(size)) for size in SIZES}  # type: ignore[misc]
    events, scheduled = _waiting()
    yield from _lateness_rows(ours, in_one, events, scheduled)
    plain = {size: attempt(lambda size=size: naive.bytes_per_pending(size)) for size in SIZES[:-1]}  # type: ignore[misc]
    bullmq = attempt(_bullmq_bytes)
    yield from _memory_rows(ours, in_one, plain, bullmq)
    ids = attempt(_bytes_per_id)
    yield Row("memory per remembered message id (bytes)", ids, "target", TARGET_ID_BYTES, True)
    yield Row("memory per remembered message id (bytes)", ids, "sorted set of ids", attempt(naive.bytes_per_id), True)
    plots.draw_lateness(_lateness_curves(ours, in_one, events), TARGET_P99_MS)
    plots.draw_memory(_memory_curves(ours, in_one, plain, bullmq), TARGET_BYTES)


def _ours(size: int) -> Point:
    require_memory(1 + size * GB_PER_PENDING)
    with valkey() as url:
        settings = settings_for(url, **LONG_WINDOW)
        # Loads the scripts and grows the server's buffers, which are no part of a conversation's memory.
        asyncio.run(append(settings_for(url, **LONG_WINDOW), CONVERSATIONS_PER_APPEND, 3))
        before = used_memory(url)
        fill(settings, size)
        grown, usage = (used_memory(url) - before) / size, usage_per_conversation(settings)
        return Point(grown, usage, attempt(lambda: _lateness(url, settings)))


def _lateness(url: str, settings: Any) -> Spread:
    """Return the lateness of flushes that come due beside the pending conversations, after the worker's start."""
    with running_agent() as agent:
        variables = environment(settings, agent.url)
        with process(python("cli", "worker"), MEASURED_CORE, **variables):
            with contextlib.suppress(Meaningless):  # the repair of a million conversations goes on for minutes
                wait_until_idle(url, REPAIR_HEAD_START_S)
            warm_up(settings, agent)
            return least_disturbed(lambda: trickle(settings, agent, FLUSHES).lateness)


def _in_process(size: int) -> InProcess:
    require_memory(1 + size * GB_PER_PENDING)
    return in_process(size, FLUSHES_PER_S, FLUSHES)


def _waiting() -> tuple[dict[int, Spread | Missing], Spread | Missing]:
    """Measure expiry events and `enqueue_in` at the same time: they wait for most of it."""
    with ThreadPoolExecutor() as threads:
        events = {size: threads.submit(attempt, lambda size=size: expiry.lateness(size)) for size in SIZES[:-1]}
        scheduled = threads.submit(attempt, enqueue_in.lateness)
        return {size: future.result() for size, future in events.items()}, scheduled.result()


Ours = dict[int, Point | Missing]
InOne = dict[int, InProcess | Missing]
Events = dict[int, Spread | Missing]


def _late(found: Point | InProcess | Spread | Missing, field: str) -> Figure:
    if isinstance(found, Point | InProcess):
        found = found.lateness
    return found if isinstance(found, Missing) else float(getattr(found, field))


def _lateness_rows(ours: Ours, in_one: InOne, events: Events, scheduled: Spread | Missing) -> Iterator[Row]:
    for size in SIZES:
        what = f"lateness, {FLUSHES_PER_S} flushes/s, {size:,} pending:"
        for name, field in (("p50", "p50"), ("p99", "p99"), ("latest", "most")):
            mine, theirs = _late(ours[size], field), _late(in_one[size], field)
            yield Row(f"{what} {name} (ms)", mine, "in-process asyncio buffer", theirs, less=True)
        yield Row(f"{what} p99 (ms)", _late(ours[size], "p99"), "target", TARGET_P99_MS, less=True)
        if size in events:
            yield from _expiry_rows(f"{what}", ours[size], events[size])
    yield _growth(ours, in_one)
    mine = _late(ours[SIZES[0]], "p99")
    against = "RQ's `enqueue_in`, nothing else pending"
    if isinstance(scheduled, Spread) and scheduled.least < 0:
        against += f" (some came {-scheduled.least:.0f} ms too early)"
    yield Row(f"lateness, {SIZES[0]:,} pending: p99 (ms)", mine, against, _late(scheduled, "p99"), less=True)


def _expiry_rows(what: str, ours: Point | Missing, events: Spread | Missing) -> Iterator[Row]:
    against = "keyspace expiry events alone"
    if isinstance(events, Missing):
        yield Row(f"{what} p50 (ms)", _late(ours, "p50"), against, events, less=True)
        return
    if never := events.never:
        against += f" ({never:.0%} did not come within {expiry.LATENESS_MAX_S:g} s)"
    for name, field in (("p50", "p50"), ("p99", "p99")):
        theirs = float(getattr(events, field))
        known = min(theirs, expiry.LATENESS_MAX_S * 1000)
        yield Row(f"{what} {name} (ms)", _late(ours, field), against, known, less=True, at_least=math.isinf(theirs))


def _growth(ours: Ours, in_one: InOne) -> Row:
    what = f"growth of the p99 lateness from {SIZES[0]:,} to {SIZES[-1]:,} pending (times)"
    return Row(what, _times(ours), "in-process asyncio buffer", _times(in_one), less=True)


def _times(found: Any) -> Figure:
    first, last = _late(found[SIZES[0]], "p99"), _late(found[SIZES[-1]], "p99")
    if isinstance(first, Missing) or isinstance(last, Missing):
        return first if isinstance(first, Missing) else last
    return last / first


def _memory_rows(ours: Ours, in_one: InOne, plain: dict[int, Figure], bullmq: Figure) -> Iterator[Row]:
    for size in SIZES:
        what, point = f"memory per pending conversation, three short messages, {size:,} pending (bytes)", ours[size]
        mine = point if isinstance(point, Missing) else point.bytes_by_difference
        yield Row(what, mine, "target", TARGET_BYTES, less=True)
        if size in plain:
            yield Row(what, mine, "naive layout", plain[size], less=True)
        if size == BULLMQ_JOBS:
            yield Row(what, mine, "BullMQ, one debounced job", bullmq, less=True)
        if size == SIZES[-1]:
            yield Row(
                what, mine, "in-process asyncio buffer (resident memory)", _bytes_per_pending(in_one[size]), less=True
            )
    point = ours[SIZES[1]]
    usage = point if isinstance(point, Missing) else point.bytes_by_usage
    yield Row("the same by MEMORY USAGE of its keys (bytes)", usage, "target", TARGET_BYTES, less=True)


def _bytes_per_pending(found: InProcess | Missing) -> Figure:
    return found if isinstance(found, Missing) else found.bytes_per_pending


def _bullmq_bytes() -> float:
    with valkey() as url:
        before = used_memory(url)
        output(node("fill.mjs", BULLMQ_JOBS, 3, "delayed"), OTHER_CORE, 60, REDIS_URL=url)
        return (used_memory(url) - before) / BULLMQ_JOBS


def _bytes_per_id() -> float:
    """Return the bytes per remembered id of one person, by MEMORY USAGE."""
    with valkey() as url, redis.Redis.from_url(url) as client:
        settings = settings_for(url, **LONG_WINDOW)
        fill(settings, 1, naive.IDS)
        keys = [key for kind in ("seen", "slabs") for key in client.keys(f"{settings.redis_key_prefix}:*:{kind}:*")]
        if len(keys) != 2:
            raise Meaningless(f"one person's ids are remembered in {len(keys)} keys")
        return float(sum(client.memory_usage(key, samples=0) for key in keys)) / naive.IDS


def _lateness_curves(ours: Ours, in_one: InOne, events: Events) -> list[plots.Curve]:
    def values(found: Any, field: str) -> dict[int, Figure]:
        return {size: _late(found[size], field) for size in found}

    return [
        plots.Curve("debouncer, p99", plots.OURS, values(ours, "p99")),
        plots.Curve("debouncer, p50", plots.OURS_DASHED, values(ours, "p50")),
        plots.Curve("in-process asyncio buffer, p99", plots.IN_PROCESS, values(in_one, "p99")),
        plots.Curve("keyspace expiry events alone, p50", plots.EVENTS, values(events, "p50"), _never(events)),
    ]


def _never(events: Events) -> dict[int, str]:
    return {
        size: f"{found.never:.0%} not\nwithin {expiry.LATENESS_MAX_S:g} s"
        for size, found in events.items()
        if isinstance(found, Spread) and found.never
    }


def _memory_curves(ours: Ours, in_one: InOne, plain: dict[int, Figure], bullmq: Figure) -> list[plots.Curve]:
    mine = {size: point if isinstance(point, Missing) else point.bytes_by_difference for size, point in ours.items()}
    held = {size: _bytes_per_pending(found) for size, found in in_one.items()}
    return [
        plots.Curve("debouncer", plots.OURS, mine),
        plots.Curve("naive layout in Redis", plots.NAIVE, plain),
        plots.Curve("in-process asyncio buffer (resident memory)", plots.IN_PROCESS, held),
        plots.Curve("BullMQ, one debounced job", plots.BULLMQ, {BULLMQ_JOBS: bullmq}),
    ]
