"""Measure 1,000 agent calls of 5 s at once in one worker process: calls in flight, lateness and memory."""

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
from benchmarks.usage import least_disturbed, peak_mb, resident_mb, wait_until_idle

CALLS = 1000
FLUSHES_PER_S = 400
WARM_UP_FLUSHES = 50
AGENT_DELAY_S = 5.0
WHAT = "1,000 calls, the agent takes 5 s, one process"
BASELINE = "in-process asyncio buffer"
AT_ONCE = f"{WHAT}, all due in the same millisecond, new connections"
BARE = "bare aiohttp client that makes the same calls"
WINDOW_S = 2.0
ROUNDS = 2
TIMEOUT_S = 60.0


class Held(NamedTuple):
    """The figures of our worker."""

    report: Report
    peak_mb: float

    @property
    def lateness(self) -> Spread:
        """Return the lateness of all calls."""
        return self.report.lateness


def measure() -> Iterator[Row]:
    """Compare our worker with the in-process buffer and with 1,000 of RQ's own workers."""
    ours, theirs = attempt(hold_calls), attempt(lambda: in_process(0, FLUSHES_PER_S, CALLS, AGENT_DELAY_S))
    yield Row(f"{WHAT}: most calls at once", peak_of(ours), BASELINE, peak_of(theirs))
    yield Row(f"{WHAT}: lateness p99 (ms)", p99_of(ours), BASELINE, p99_of(theirs), less=True)
    yield Row(f"{WHAT}: lateness of the latest (ms)", _most(ours), BASELINE, _most(theirs), less=True)
    memory = f"{WHAT}: peak memory (MB)"
    yield Row(memory, memory_of(ours), "target", 200.0, less=True)
    yield Row(memory, memory_of(ours), f"{BASELINE} (Redis, RQ and HTTP API not in it)", memory_of(theirs), less=True)
    one = attempt(_stock_mb)
    many = one if isinstance(one, Missing) else one * CALLS
    yield Row(memory, memory_of(ours), "1,000 stock rq workers, by the memory of one", many, less=True)
    yield from _at_once()


def _at_once() -> Iterator[Row]:
    """Compare calls that are due at once with a bare HTTP client. Takes the best of some rounds in turn."""
    rounds = [(attempt(_due_at_once), attempt(_bare)) for _ in range(ROUNDS)]
    ours, theirs = [mine for mine, _ in rounds], [bare for _, bare in rounds]
    for figure, of in (("p50", _median), ("of the latest", _latest)):
        yield Row(f"{AT_ONCE}: lateness {figure} (ms)", _least(ours, of), BARE, _least(theirs, of), less=True)


def _due_at_once() -> Report:
    """Append all messages in one script call, so that all windows end in the same millisecond."""
    with valkey() as url, running_agent(AGENT_DELAY_S) as agent:
        settings = settings_for(url, message_buffer_timeout=WINDOW_S)
        variables = environment(settings, agent.url, WORKER_CONCURRENCY=str(CALLS))
        with process(python("cli", "worker"), MEASURED_CORE, **variables):
            wait_until_idle(url)
            asyncio.run(append_at_once(settings, CALLS))
            return agent.report(CALLS)


def _bare() -> Report:
    with running_agent(AGENT_DELAY_S) as agent:
        output(python("benchmarks.programs.bare_client", agent.url, CALLS), MEASURED_CORE, TIMEOUT_S)
        return agent.report(CALLS)


def _least(found: Sequence[Report | Missing], of: Callable[[Report], float]) -> Figure:
    figures = [one if isinstance(one, Missing) else of(one) for one in found]
    return min((figure for figure in figures if not isinstance(figure, Missing)), default=figures[0])


def _median(report: Report) -> float:
    return report.lateness.p50


def _latest(report: Report) -> float:
    return report.lateness.most


def hold_calls(**more: str) -> Held:
    """Let new conversations come due within some seconds, so that all calls are under way before the first answer.

    `more` are environment variables of the worker.
    """
    with valkey() as url, running_agent(AGENT_DELAY_S) as agent:
        settings = settings_for(url)
        variables = environment(settings, agent.url, WORKER_CONCURRENCY=str(CALLS), **more)
        with process(python("cli", "worker"), MEASURED_CORE, **variables) as worker:
            wait_until_idle(url)
            warm_up(settings, agent, WARM_UP_FLUSHES)
            report = least_disturbed(lambda: trickle(settings, agent, CALLS, FLUSHES_PER_S))
            return Held(report, peak_mb(worker.pid))


def _stock_mb() -> float:
    with valkey() as url:
        variables = environment(settings_for(url), "http://127.0.0.1:1/")
        with process(python("benchmarks.programs.stock_worker", "simple"), MEASURED_CORE, **variables) as stock:
            wait_until_idle(url)
            return resident_mb(stock.pid)


def peak_of(found: Held | InProcess | Missing) -> Figure:
    """Return the most calls at once."""
    return found if isinstance(found, Missing) else float(found.report.peak)


def p99_of(found: Held | InProcess | Missing) -> Figure:
    """Return the 99th percentile of the lateness in ms."""
    return found if isinstance(found, Missing) else found.lateness.p99


def _most(found: Held | InProcess | Missing) -> Figure:
    return found if isinstance(found, Missing) else found.lateness.most


def memory_of(found: Held | InProcess | Missing) -> Figure:
    """Return the peak memory in MB."""
    return found if isinstance(found, Missing) else found.peak_mb
