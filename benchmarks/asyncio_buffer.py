"""The in-process asyncio buffer as a baseline: the design in which one process holds everything."""

from __future__ import annotations

import json
from typing import NamedTuple

from benchmarks.agent import Report, running_agent
from benchmarks.figures import Spread
from benchmarks.machine import MEASURED_CORE, output, python

WITHIN_S = 120.0


class InProcess(NamedTuple):
    """What an in-process buffer did and took."""

    report: Report
    lateness: Spread
    bytes_per_pending: float
    peak_mb: float


def in_process(pending: int, rate: float, count: int, agent_delay_s: float = 0.0) -> InProcess:
    """Let it hold `pending` conversations and flush `count` others, as often as the host disturbs it."""
    with running_agent(agent_delay_s) as agent:
        command = python("benchmarks.programs.asyncio_buffer", agent.url, pending, rate, count)
        told = json.loads(output(command, MEASURED_CORE, WITHIN_S))
        stolen = told["stolen_percent"]
        report = agent.report(count * len(stolen))
    calm = count * stolen.index(min(stolen))
    grown = (told["full_mb"] - told["empty_mb"]) * 1024**2
    lateness = Spread.of(report.lateness_ms[calm : calm + count])
    return InProcess(report, lateness, grown / max(1, pending), told["peak_mb"])
