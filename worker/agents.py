"""The agents of all routes: one for each address, secret and time limit, kept while a route uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from config.routes import Route
from config.settings import Settings
from worker.agent import Agent


class _Key(NamedTuple):
    """What two routes must have in common to share an agent."""

    url: str
    secret: str
    timeout_s: float


class Agents:
    """Opens the agents, and closes those that no route uses any more."""

    def __init__(self) -> None:
        self._agents: dict[_Key, Agent] = {}
        self._closing: dict[asyncio.Task[None], Agent] = {}

    def of(self, settings: Settings) -> Agent | None:
        """Return the agent of a route with these settings, None if it names none."""
        key = _key(settings)
        if key is None:
            return None
        agent = self._agents.get(key)
        if agent is None:
            agent = self._agents[key] = Agent(settings)
        return agent

    def retire_unused(self, routes: Iterable[Route]) -> None:
        """Close the agents that none of these routes uses, when their last calls have ended."""
        used = {_key(route.settings) for route in routes}
        for key in self._agents.keys() - used:
            agent = self._agents.pop(key)
            task = asyncio.get_running_loop().create_task(_close_after(agent, key.timeout_s))
            self._closing[task] = agent
            task.add_done_callback(lambda ended: self._closing.pop(ended, None))

    async def close(self) -> None:
        """Close all connections."""
        closing, self._closing = self._closing, {}
        for task in closing:
            task.cancel()
        for agent in [*self._agents.values(), *closing.values()]:
            await agent.close()


async def _close_after(agent: Agent, timeout_s: float) -> None:
    """Close an agent that gets no new calls. Its last ones end within their time limit."""
    await asyncio.sleep(timeout_s)
    await agent.close()


def _key(settings: Settings) -> _Key | None:
    if settings.agent_url is None:
        return None
    secret = settings.agent_secret.get_secret_value() if settings.agent_secret else ""
    return _Key(settings.agent_url, secret, settings.agent_timeout)
