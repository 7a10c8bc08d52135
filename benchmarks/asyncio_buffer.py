"""Measure the in-process asyncio buffer as a baseline: one process holds all bursts in its own memory."""

from __future__ import annotations

import json
from typing import NamedTuple

from benchmarks.agent import Report, running_agent
from benchmarks.figures import Spread
from benchmarks.machine import MEASURED_CORE, output, python

TIMEOUT_S = 120.0


class InProcess(NamedTuple):
    """The figures of one in-process buffer."""

    report: Report
    lateness: Spread
    bytes_per_pending: float
    peak_mb: float


def in_process(pending: int, rate: float, count: int, agent_delay_s: float = 0.0) -> InProcess:
    """Run a buffer that holds `pending` conversations and flushes `count` others. Repeat while the host disturbs it."""
    with running_agent(agent_delay_s) as agent:
        command = python("benchmarks.programs.asyncio_buffer", agent.url, pending, rate, count)
        result = json.loads(output(command, MEASURED_CORE, TIMEOUT_S))
        stolen = result["stolen_percent"]
        report = agent.report(count * len(stolen))
    first = count * stolen.index(min(stolen))  # of the round with the least steal time
    grown = (result["full_mb"] - result["empty_mb"]) * 1024**2
    lateness = Spread.of(report.lateness_ms[first : first + count])
    return InProcess(report, lateness, grown / max(1, pending), result["peak_mb"])
