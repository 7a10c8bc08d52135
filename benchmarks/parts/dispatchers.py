"""Measure several workers that share the due conversations. Each is dispatched once and reaches the agent once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import redis

from benchmarks.agent import running_agent
from benchmarks.figures import Figure, Missing, attempt
from benchmarks.machine import MEASURED_CORE, process, python, valkey
from benchmarks.pending import counter, environment, settings_for
from benchmarks.table import Row
from benchmarks.trickle import FLUSHES_PER_S, WARM_UP_FLUSHES, trickle, warm_up
from benchmarks.usage import wait_until_idle

FLUSHES = FLUSHES_PER_S * 6
WORKERS = 3


class Shared(NamedTuple):
    """The figures of some workers together."""

    dispatches_per_flush: float
    p99_ms: float


def measure() -> Iterator[Row]:
    """Compare three workers with one. A repeated call means no figure."""
    many, one = attempt(lambda: _share(WORKERS)), attempt(lambda: _share(1))
    what = f"{WORKERS} workers, {FLUSHES_PER_S} flushes/s:"
    for name, field in (
        ("jobs per flush (1: none dispatched twice)", "dispatches_per_flush"),
        ("lateness p99 (ms)", "p99_ms"),
    ):
        yield Row(f"{what} {name}", _figure(many, field), "1 worker", _figure(one, field), less=True)


def _share(workers: int) -> Shared:
    with valkey() as url, running_agent() as agent, contextlib.ExitStack() as stack:
        settings = settings_for(url)
        for _ in range(workers):
            command = python("cli", "worker")
            stack.enter_context(process(command, MEASURED_CORE, **environment(settings, agent.url)))
        wait_until_idle(url, workers=workers)
        warm_up(settings, agent)
        report = trickle(settings, agent, FLUSHES)
        with redis.Redis.from_url(url) as client:
            dispatches = counter(client, settings, "dispatches")
    return Shared(dispatches / (WARM_UP_FLUSHES + report.calls), report.lateness.p99)


def _figure(result: Shared | Missing, field: str) -> Figure:
    return result if isinstance(result, Missing) else float(getattr(result, field))
