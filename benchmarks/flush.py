"""Flushes per second of one worker process with an instant agent, beside RQ's own workers doing the same jobs."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import redis

from benchmarks.burst import acked, environment, fill, settings_for
from benchmarks.machine import LOAD_CORE, SERVER_CORE, free_port, process, wait_for_port
from benchmarks.table import Row
from buffer.keys import Ref
from config.settings import Settings
from worker.queue import FlushQueue

PATIENCE_S = 120.0
BASELINES = {"stock rq Worker (forks)": ("rq.worker.Worker", 150), "stock rq SimpleWorker": ("rq.SimpleWorker", 400)}


def measure(url: str) -> list[Row]:
    """Our worker with many due conversations, then each stock worker with fewer of them."""
    ours = _our_worker(url, 8000)
    return [
        Row("flushes, instant agent, one worker process (flushes/s)", ours, name, _stock(url, *how))
        for name, how in BASELINES.items()
    ] + _in_flight(url)


def _our_worker(url: str, count: int) -> float:
    settings, port = settings_for(url, message_buffer_timeout=0.001), free_port()
    asyncio.run(fill(settings, count))
    with (
        process([sys.executable, "-m", "benchmarks.agent", str(port), "0"], LOAD_CORE),
        process([sys.executable, "-m", "cli", "worker"], SERVER_CORE, **environment(settings, port)),
    ):
        return _rate(settings, count)


def _stock(url: str, worker_class: str, count: int) -> float:
    settings, port = settings_for(url, message_buffer_timeout=0.001), free_port()
    asyncio.run(fill(settings, count))
    asyncio.run(_enqueue_all(settings, count))
    command = [sys.executable, "-m", "rq.cli", "worker", "--url", url, "--quiet", "--worker-class", worker_class]
    command += ["--serializer", "rq.serializers.JSONSerializer", settings.rq_queue]
    with process([sys.executable, "-m", "benchmarks.agent", str(port), "0"], LOAD_CORE):
        wait_for_port(port)
        with process(command, SERVER_CORE, **environment(settings, port)):
            return _rate(settings, count)


async def _enqueue_all(settings: Settings, count: int) -> None:
    """What our dispatcher does: one job for each due conversation."""
    from buffer.connect import connect
    from buffer.store import Store

    await asyncio.sleep(0.05)
    store = Store(connect(settings.redis_url or "", timeout_s=10), settings)
    queue = FlushQueue(settings, redis.Redis.from_url(settings.redis_url or ""))
    found = await store.dispatch(Ref(0, "").partition, count)
    await queue.enqueue(found.due)
    queue.close()
    await store.close()


def _rate(settings: Settings, count: int) -> float:
    """From the first flush to the last, so that starting a process does not count."""
    with redis.Redis.from_url(settings.redis_url or "") as client:
        until = time.monotonic() + PATIENCE_S
        while (first := acked(client, settings)) == 0 and time.monotonic() < until:
            time.sleep(0.005)
        began = time.monotonic()
        while (last := acked(client, settings)) < count and time.monotonic() < until:
            time.sleep(0.01)
        return (last - first) / (time.monotonic() - began)


def _in_flight(url: str) -> list[Row]:
    """1,000 calls to an agent that takes 5 s, in one process: how many at once, and its memory."""
    settings, port = settings_for(url, message_buffer_timeout=0.001), free_port()
    asyncio.run(fill(settings, 1000))
    with process([sys.executable, "-m", "benchmarks.agent", str(port), "5"], LOAD_CORE):
        wait_for_port(port)
        extra = environment(settings, port) | {"WORKER_CONCURRENCY": "1000"}
        with process([sys.executable, "-m", "cli", "worker"], SERVER_CORE, **extra) as worker:
            began = time.monotonic()
            _rate(settings, 1000)
            took, rss = time.monotonic() - began, _rss_mb(worker.pid)
    return [
        Row("1,000 calls at once, agent takes 5 s: all answered after (s)", took, "one after the other", 5000.0, True),
        Row("the same: memory of the worker process (MB)", rss, "1,000 processes of 40 MB", 40_000.0, True),
    ]


def _rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0
