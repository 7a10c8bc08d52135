"""The agents of all routes: one for each address, secret and time limit, kept while a route uses it."""

from __future__ import annotations

import asyncio
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
        self._closing: dict[asyncio.Task[None], Agent] = {}

    async def call(self, batch: Batch, body: bytes) -> AgentReply | AgentFailure:
        """Deliver one batch. A batch whose route names no agent waits like one whose agent cannot be reached."""
        route = self._routes.of(batch.conversation.gateway, batch.conversation.channel)
        agent = self.agent_for(route)
        if agent is None:
            where = f"agent_url of {route.name} in ROUTES_FILE" if self._routes.path else "AGENT_URL"
            return AgentFailure(f"there is no agent: {where} is not set", sent=False)
        return await agent.call(batch, body)

    def agent_for(self, route: Route) -> Agent | None:
        """Return the agent of a route, None if it names none."""
        key = _key(route.settings)
        if key is None:
            return None
        agent = self._agents.get(key)
        if agent is None:
            agent = self._agents[key] = Agent(route.settings)
        return agent

    def retire_unused(self) -> None:
        """Close the agents that no route uses any more, when their last calls have ended. Call it after a reload."""
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
