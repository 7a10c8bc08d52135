"""The in-process asyncio buffer as a baseline: the design in which one process holds everything."""

from __future__ import annotations

import json
from typing import NamedTuple

from benchmarks.agent import Report, running_agent
from benchmarks.machine import MEASURED_CORE, output, python

WITHIN_S = 120.0


class InProcess(NamedTuple):
    """What an in-process buffer did and took."""

    report: Report
    bytes_per_pending: float
    peak_mb: float


def in_process(pending: int, rate: float, count: int, agent_delay_s: float = 0.0) -> InProcess:
    """Let it hold `pending` conversations and flush `count` others."""
    with running_agent(agent_delay_s) as agent:
        command = python("benchmarks.programs.asyncio_buffer", agent.url, pending, rate, count)
        told = json.loads(output(command, MEASURED_CORE, WITHIN_S))
        report = agent.report(count)
    grown = (told["full_mb"] - told["empty_mb"]) * 1024**2
    return InProcess(report, grown / max(1, pending), told["peak_mb"])
