"""Several workers share the same due conversations: each is handed out once, and reaches the agent once."""

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
from benchmarks.trickle import RATE, WARM, trickle, warm_up
from benchmarks.usage import settle

PROBES, MANY = RATE * 6, 3


class Shared(NamedTuple):
    """What some workers did together."""

    handed_out_per_flush: float
    p99_ms: float


def measure() -> Iterator[Row]:
    """Three workers beside one; that no call was made twice is a condition of each figure."""
    many, one = attempt(lambda: _share(MANY)), attempt(lambda: _share(1))
    what = f"{MANY} workers, {RATE} flushes/s:"
    for name, field in (
        ("jobs per flush (1: none handed out twice)", "handed_out_per_flush"),
        ("lateness p99 (ms)", "p99_ms"),
    ):
        yield Row(f"{what} {name}", _figure(many, field), "1 worker", _figure(one, field), less=True)


def _share(workers: int) -> Shared:
    with valkey() as url, running_agent() as agent, contextlib.ExitStack() as stack:
        settings = settings_for(url)
        for _ in range(workers):
            command = python("cli", "worker")
            stack.enter_context(process(command, MEASURED_CORE, **environment(settings, agent.url)))
        settle(url, workers=workers)
        warm_up(settings, agent)
        report = trickle(settings, agent, PROBES)
        with redis.Redis.from_url(url) as client:
            handed_out = counter(client, settings, "dispatches")
    return Shared(handed_out / (WARM + report.calls), report.lateness.p99)


def _figure(found: Shared | Missing, field: str) -> Figure:
    return found if isinstance(found, Missing) else float(getattr(found, field))
