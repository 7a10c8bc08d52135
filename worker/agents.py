"""The agents of all routes: one for each address, secret and time limit, kept while a route uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple

from buffer.models import Batch
from config.routes import Route, Routes
from config.settings import Settings
from worker.agent import Agent
from worker.agent_answer import AgentFailure, AgentReply


class _Key(NamedTuple):
    """What two routes must have in common to share an agent."""

    url: str
    secret: str
    timeout_s: float


class Agents:
    """Calls the agent of the route of each batch."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._agents: dict[_Key, Agent] = {}
        self._of_routes: dict[Route, Agent] = {}
        self._closing: dict[asyncio.Task[None], Agent] = {}

    def call(self, batch: Batch, body: bytes) -> Awaitable[AgentReply | AgentFailure]:
        """Deliver one batch. A batch whose route names no agent waits like one whose agent cannot be reached."""
        gateway, channel, _ = batch.conversation
        route = self._routes.of(gateway, channel)
        agent = self.agent_for(route)
        return agent.call(batch, body) if agent is not None else self._without_agent(route)

    async def _without_agent(self, route: Route) -> AgentFailure:
        where = f"agent_url of {route.name} in ROUTES_FILE" if self._routes.path else "AGENT_URL"
        return AgentFailure(f"there is no agent: {where} is not set", sent=False)

    def agent_for(self, route: Route) -> Agent | None:
        """Return the agent of a route, None if it names none."""
        return self._of_routes.get(route) or self._find(route)

    def _find(self, route: Route) -> Agent | None:
        key = _key(route.settings)
        if key is None:
            return None
        if key not in self._agents:
            self._agents[key] = Agent(route.settings)
        self._of_routes[route] = self._agents[key]
        return self._agents[key]

    def retire_unused(self) -> None:
        """Close the agents that no route uses any more, when their last calls have ended. Call it after a reload."""
        self._of_routes.clear()
        used = {_key(route.settings) for route in self._routes.all()}
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
