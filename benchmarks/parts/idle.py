"""Measure the cost of an idle worker, beside an idle stock rq worker."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Figure, Missing, attempt
from benchmarks.machine import MEASURED_CORE, process, python, valkey
from benchmarks.pending import environment, settings_for
from benchmarks.table import Row
from benchmarks.usage import IdleCost, idle_cost, wait_until_idle

WATCH_S = 8.0
STOCK = "idle stock rq Worker"


def measure() -> Iterator[Row]:
    """Compare commands, CPU and memory of the two."""
    ours = attempt(lambda: _watch(python("cli", "worker")))
    stock = attempt(lambda: _watch(python("benchmarks.programs.stock_worker", "fork")))
    for what, field in (
        ("idle worker: Redis commands/s", "commands_per_s"),
        ("idle worker: CPU (% of a core)", "cpu_percent"),
        ("idle worker: resident memory (MB)", "resident_mb"),
    ):
        yield Row(what, _figure(ours, field), STOCK, _figure(stock, field), less=True)


def _watch(command: list[str]) -> IdleCost:
    with valkey() as url:
        variables = environment(settings_for(url), "http://127.0.0.1:1/")
        with process(command, MEASURED_CORE, **variables) as worker:
            wait_until_idle(url)
            return idle_cost(worker.pid, url, WATCH_S)


def _figure(found: IdleCost | Missing, field: str) -> Figure:
    return found if isinstance(found, Missing) else float(getattr(found, field))
