"""Measure what the operator's page costs: webhooks while it is watched, and its opening with very many pending."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import httpx
import redis

from benchmarks.figures import Figure, Meaningless, Missing, attempt
from benchmarks.machine import MEASURED_CORE, free_port, process, require_memory, valkey, wait_for_port
from benchmarks.parts.growth import GB_PER_PENDING
from benchmarks.parts.webhook import APPS, run_load
from benchmarks.pending import LONG_WINDOW, fill, person, settings_for, short_message
from benchmarks.table import Row
from benchmarks.viewers import watching
from buffer.store import Store
from buffer.transport.clients import connect
from config.settings import Settings

VIEWERS = 5
TURNS = 5
ENDED = 200
"""Flushes in the history: as many as the page reads."""

OPENINGS = 25
FEW, PAGEFUL, MANY = 10, 100, 1_000_000
"""Pending conversations: fewer than the page shows, more than that, and very many."""

TOKEN = "a-token-for-operators"
WATCHED = f"webhook while {VIEWERS} browsers watch the page, median of {TURNS} turns"


class Watched(NamedTuple):
    """Requests/s of a service, its CPU per request (us), and the readings a second that each viewer was told."""

    per_s: float
    app_us: float
    readings: float


class Opening(NamedTuple):
    """What one opening of the page costs: its time, and commands and their time in Redis."""

    ms: float
    commands: float
    redis_us: float


def measure() -> Iterator[Row]:
    """Compare watched with not watched, in turn, and many pending with few."""
    turns = [(attempt(lambda: _webhooks(VIEWERS)), attempt(lambda: _webhooks(0))) for _ in range(TURNS)]
    watched, alone = ([turn[at] for turn in turns] for at in (0, 1))
    yield Row(f"{WATCHED} (requests/s)", _median(watched, "per_s"), "nobody watches", _median(alone, "per_s"))
    cpu = _median(watched, "app_us"), _median(alone, "app_us")
    yield Row(f"{WATCHED}: CPU of the process per request (us)", cpu[0], "nobody watches", cpu[1], less=True)
    yield Row(f"{WATCHED}: readings that each was told a second", _median(watched, "readings"), "at rest", 1.0)
    few, pageful, many = (attempt(lambda size=size: _openings(size)) for size in (FEW, PAGEFUL, MANY))  # type: ignore[misc]
    for told, field in (("time (ms)", "ms"), ("commands in Redis", "commands"), ("time in Redis (us)", "redis_us")):
        what, ours = f"opening the page, {MANY:,} pending, median of {OPENINGS}: {told}", _median(many, field)
        yield Row(what, ours, f"{FEW} pending", _median(few, field), less=True)
        yield Row(what, ours, f"{PAGEFUL} pending, a page full", _median(pageful, field), less=True)


def _median(found: Sequence[NamedTuple | Missing] | Missing, field: str) -> Figure:
    """Return the median of a field, or the first reason for a missing figure."""
    if isinstance(found, Missing):
        return found
    missing = next((one for one in found if isinstance(one, Missing)), None)
    return missing or statistics.median(getattr(one, field) for one in found)


def _webhooks(viewers: int) -> Watched:
    """Run the load on a service with a full history, while so many watch its page."""
    with valkey() as url:
        settings = Settings(redis_url=url)
        asyncio.run(_end_flushes(settings))
        with _service(settings, EVOLUTION_TOKEN="t") as (port, pid), watching(port, TOKEN, viewers) as seen:
            began, before = time.monotonic(), sum(seen.seen)
            run = run_load(port, pid, url)
            told = sum(seen.seen) - before
            return Watched(run.per_s, run.app_us, told / max(1, viewers) / (time.monotonic() - began))


def _openings(pending: int) -> list[Opening]:
    """Open the page of a service with so many pending, some times."""
    require_memory(1 + pending * GB_PER_PENDING)
    with valkey() as url:
        settings = settings_for(url, **LONG_WINDOW)
        fill(settings, pending)
        asyncio.run(_end_flushes(settings))
        with _service(settings) as (port, _), redis.Redis.from_url(url) as client, _browser(port) as browser:
            _open(browser, client)  # loads what a process keeps
            return [_open(browser, client) for _ in range(OPENINGS)]


def _open(browser: httpx.Client, client: redis.Redis) -> Opening:
    commands, redis_us = _spent(client)
    began = time.perf_counter()
    answer = browser.get("/dashboard")
    ms = (time.perf_counter() - began) * 1000
    if answer.status_code != 200:
        raise Meaningless(f"the page answered {answer.status_code}: {answer.text[:200]}")
    after = _spent(client)
    return Opening(ms, after[0] - commands, after[1] - redis_us)


def _spent(client: redis.Redis) -> tuple[int, int]:
    """Return how many commands a server has run, and their time in us, without our own."""
    found = [stats for name, stats in client.info("commandstats").items() if name != "cmdstat_info"]
    return sum(one["calls"] for one in found), sum(one["usec"] for one in found)


@contextlib.contextmanager
def _service(settings: Settings, **environment: str) -> Iterator[tuple[int, int]]:
    """Run a webhook process, and yield its port and its process id."""
    port = free_port()
    names = {"REDIS_URL": settings.redis_url or "", "REDIS_KEY_PREFIX": settings.redis_key_prefix}
    more = {"ADMIN_TOKEN": TOKEN, "LOG_LEVEL": "WARNING", **names, **environment}
    with process(APPS["ours"](port), MEASURED_CORE, **more) as app:
        wait_for_port(port)
        yield port, app.pid


def _browser(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {TOKEN}"}, timeout=30)


async def _end_flushes(settings: Settings) -> None:
    """Let ENDED people write, and their flushes end."""
    store = Store(connect(settings.redis_url or "", timeout_s=60), settings)
    for number in range(ENDED):
        one = short_message(person(10_000_000 + number), 0)
        await store.append([one])
        await store.flush_now(one.conversation)
        ref = store.ref(one.conversation)
        batch = (await store.claim(ref, f"w-{number}")).batch
        if batch is None:
            raise Meaningless("a burst could not be claimed")
        await store.ack(ref, batch.token)
    await store.close()
