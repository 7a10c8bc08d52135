"""Flushes that come due at a steady rate while a worker runs, and how late they reach the agent."""

from __future__ import annotations

import itertools

from benchmarks.agent import Agent, Report
from benchmarks.machine import OTHER_CORE, output, python
from benchmarks.pending import environment
from config.settings import Settings

RATE = 300
WARM = 300
ROUND, PEOPLE = itertools.count(), 100_000
"""Each round has people of its own, whose messages are new."""


def warm_up(settings: Settings, agent: Agent, count: int = WARM) -> None:
    """Some flushes that do not count."""
    trickle(settings, agent, count)


def trickle(settings: Settings, agent: Agent, count: int, rate: float = RATE) -> Report:
    """Measure `count` flushes at `rate` a second, when none is under way; every one must arrive once."""
    agent.wait_idle()
    agent.reset()
    _append(settings, agent, rate, count)
    return agent.report(count)


def _append(settings: Settings, agent: Agent, rate: float, count: int) -> None:
    """Other people each time."""
    command = python("benchmarks.programs.trickle", rate, count, next(ROUND) * PEOPLE)
    output(command, OTHER_CORE, count / rate + 60, **environment(settings, agent.url))
