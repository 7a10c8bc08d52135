"""Flushes that come due at a steady rate while a worker runs, and how late they reach the agent."""

from __future__ import annotations

from benchmarks.agent import Agent, Report
from benchmarks.machine import OTHER_CORE, output, python
from benchmarks.pending import environment
from config.settings import Settings

RATE = 300
WARM = 300


def trickle(settings: Settings, agent: Agent, count: int, rate: float = RATE, warm: int = WARM) -> Report:
    """Warm the worker up with some flushes, then measure `count` at `rate` a second; every one must arrive once."""
    _append(settings, agent, rate, warm, 0)
    agent.report(warm)
    agent.wait_idle()
    agent.reset()
    _append(settings, agent, rate, count, warm)
    return agent.report(count)


def _append(settings: Settings, agent: Agent, rate: float, count: int, first: int) -> None:
    command = python("benchmarks.programs.trickle", rate, count, first)
    output(command, OTHER_CORE, count / rate + 60, **environment(settings, agent.url))
