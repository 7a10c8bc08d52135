"""Make flushes come due at a steady rate while a worker runs, and measure their lateness."""

from __future__ import annotations

import itertools

from benchmarks.agent import Agent, Report
from benchmarks.machine import OTHER_CORE, output, python
from benchmarks.pending import environment
from config.settings import Settings

FLUSHES_PER_S = 300
WARM_UP_FLUSHES = 300
ROUND_NUMBERS = itertools.count()
PEOPLE_PER_ROUND = 100_000
"""Each round uses other people, so that all messages are new."""


def warm_up(settings: Settings, agent: Agent, count: int = WARM_UP_FLUSHES) -> None:
    """Make flushes that are not measured."""
    trickle(settings, agent, count)


def trickle(settings: Settings, agent: Agent, count: int, rate: float = FLUSHES_PER_S) -> Report:
    """Measure `count` flushes at `rate` a second. Raises Meaningless if one does not arrive exactly once."""
    agent.wait_idle()
    agent.reset()
    _append(settings, agent, rate, count)
    return agent.report(count)


def _append(settings: Settings, agent: Agent, rate: float, count: int) -> None:
    """Append the messages of one round in another process."""
    command = python("benchmarks.programs.trickle", rate, count, next(ROUND_NUMBERS) * PEOPLE_PER_ROUND)
    output(command, OTHER_CORE, count / rate + 60, **environment(settings, agent.url))
