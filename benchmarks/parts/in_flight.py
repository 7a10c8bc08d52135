"""A thousand agent calls at once in one worker process, each of 5 s: how many, how late, how much memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.agent import Report, running_agent
from benchmarks.asyncio_buffer import InProcess, in_process
from benchmarks.figures import Figure, Missing, Spread, attempt
from benchmarks.machine import MEASURED_CORE, output, process, python, valkey
from benchmarks.pending import append_at_once, environment, settings_for
from benchmarks.table import Row
from benchmarks.trickle import trickle, warm_up
from benchmarks.usage import least_disturbed, peak_mb, resident_mb, settle

CALLS, RATE, WARM, AGENT_S = 1000, 400, 50, 5.0
WHAT = "1,000 calls, the agent takes 5 s, one process"
BASELINE = "in-process asyncio buffer"
AT_ONCE = f"{WHAT}, all due in the same millisecond, new connections"
BARE = "bare aiohttp client that makes the same calls"
WINDOW_S, ROUNDS, WITHIN_S = 2.0, 2, 60.0


class Held(NamedTuple):
    """What our worker did and took."""

    report: Report
    peak_mb: float

    @property
    def lateness(self) -> Spread:
        """Of all calls."""
        return self.report.lateness


def measure() -> Iterator[Row]:
    """Ours beside the in-process buffer, and beside as many of RQ's own workers."""
    ours, theirs = attempt(_ours), attempt(lambda: in_process(0, RATE, CALLS, AGENT_S))
    yield Row(f"{WHAT}: most calls at once", _peak(ours), BASELINE, _peak(theirs))
    yield Row(f"{WHAT}: lateness p99 (ms)", _p99(ours), BASELINE, _p99(theirs), less=True)
    yield Row(f"{WHAT}: lateness of the latest (ms)", _most(ours), BASELINE, _most(theirs), less=True)
    memory = f"{WHAT}: peak memory (MB)"
    yield Row(memory, _memory(ours), "target", 200.0, less=True)
    yield Row(memory, _memory(ours), f"{BASELINE} (Redis, RQ and HTTP API not in it)", _memory(theirs), less=True)
    one = attempt(_stock_mb)
    many = one if isinstance(one, Missing) else one * CALLS
    yield Row(memory, _memory(ours), "1,000 stock rq workers, by the memory of one", many, less=True)
    yield from _at_once()


def _at_once() -> Iterator[Row]:
    """The hardest case beside what the HTTP client alone needs for it: rounds in turn, the best."""
    rounds = [(attempt(_crowd), attempt(_bare)) for _ in range(ROUNDS)]
    ours, theirs = [mine for mine, _ in rounds], [bare for _, bare in rounds]
    for figure, of in (("p50", _median), ("of the latest", _latest)):
        yield Row(f"{AT_ONCE}: lateness {figure} (ms)", _least(ours, of), BARE, _least(theirs, of), less=True)


def _crowd() -> Report:
    """All messages are appended by one script call, so that all windows end at the same moment."""
    with valkey() as url, running_agent(AGENT_S) as agent:
        settings = settings_for(url, message_buffer_timeout=WINDOW_S)
        variables = environment(settings, agent.url, WORKER_CONCURRENCY=str(CALLS))
        with process(python("cli", "worker"), MEASURED_CORE, **variables):
            settle(url)
            asyncio.run(append_at_once(settings, CALLS))
            return agent.report(CALLS)


def _bare() -> Report:
    with running_agent(AGENT_S) as agent:
        output(python("benchmarks.programs.bare_client", agent.url, CALLS), MEASURED_CORE, WITHIN_S)
        return agent.report(CALLS)


def _least(found: Sequence[Report | Missing], of: Callable[[Report], float]) -> Figure:
    figures = [one if isinstance(one, Missing) else of(one) for one in found]
    return min((figure for figure in figures if not isinstance(figure, Missing)), default=figures[0])


def _median(report: Report) -> float:
    return report.lateness.p50


def _latest(report: Report) -> float:
    return report.lateness.most


def _ours() -> Held:
    """New conversations come due within some seconds: all of them are under way before the first is answered."""
    with valkey() as url, running_agent(AGENT_S) as agent:
        settings = settings_for(url)
        variables = environment(settings, agent.url, WORKER_CONCURRENCY=str(CALLS))
        with process(python("cli", "worker"), MEASURED_CORE, **variables) as worker:
            settle(url)
            warm_up(settings, agent, WARM)
            report = least_disturbed(lambda: trickle(settings, agent, CALLS, RATE))
            return Held(report, peak_mb(worker.pid))


def _stock_mb() -> float:
    with valkey() as url:
        variables = environment(settings_for(url), "http://127.0.0.1:1/")
        with process(python("benchmarks.programs.stock_worker", "simple"), MEASURED_CORE, **variables) as stock:
            settle(url)
            return resident_mb(stock.pid)


def _peak(found: Held | InProcess | Missing) -> Figure:
    return found if isinstance(found, Missing) else float(found.report.peak)


def _p99(found: Held | InProcess | Missing) -> Figure:
    return found if isinstance(found, Missing) else found.lateness.p99


def _most(found: Held | InProcess | Missing) -> Figure:
    return found if isinstance(found, Missing) else found.lateness.most


def _memory(found: Held | InProcess | Missing) -> Figure:
    return found if isinstance(found, Missing) else found.peak_mb
