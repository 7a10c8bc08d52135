"""Flushes that come due at a steady rate while a worker runs, and how late they reach the agent."""

from __future__ import annotations

from benchmarks.agent import Agent, Report
from benchmarks.machine import OTHER_CORE, output, python
from benchmarks.pending import environment
from config.settings import Settings

RATE = 300
WARM = 300


def trickle(settings: Settings, agent: Agent, seconds: float, rate: float = RATE) -> Report:
    """Warm the worker up with some flushes, then measure `seconds` at `rate` a second; every one must arrive once."""
    _append(settings, agent, rate, WARM, 0)
    agent.report(WARM)
    agent.reset()
    count = int(rate * seconds)
    _append(settings, agent, rate, count, WARM)
    return agent.report(count)


def _append(settings: Settings, agent: Agent, rate: float, count: int, first: int) -> None:
    command = python("benchmarks.programs.trickle", rate, count, first)
    output(command, OTHER_CORE, count / rate + 60, **environment(settings, agent.url))
