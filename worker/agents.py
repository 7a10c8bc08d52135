"""The agents of all routes: one for each address and way to speak to it, kept while a route uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import NamedTuple

from agents.results import AgentFailure, AgentReply, doubt
from buffer.models import Batch
from config.routes import Route, Routes
from config.settings import Settings
from worker.agent import Agent
from worker.breaker import Breakers
from worker.circuit import circuit_of
from worker.kind_agent import KindAgent
from worker.repeat import why_not_called, without_repeat


class _Key(NamedTuple):
    """What two routes must have in common to share an agent."""

    url: str
    secret: str
    timeout_s: float
    speech: tuple[Hashable, ...]


SPEECH = (
    "agent_kind",
    "agent_key",
    "agent_model",
    "agent_system_prompt",
    "agent_params",
    "agent_repeat",
    "agent_memory_turns",
    "agent_memory_bytes",
    "agent_memory_ttl",
    "agent_strip_think",
)
"""The settings that say how an agent is spoken to."""


class Agents:
    """Calls the agent of the route of each batch. Without `breakers` no call is held."""

    def __init__(self, routes: Routes, breakers: Breakers | None = None) -> None:
        self._routes = routes
        self._breakers = breakers
        self._agents: dict[_Key, Agent] = {}
        self._of_routes: dict[Route, Agent] = {}
        self._closing: dict[asyncio.Task[None], Agent] = {}

    async def held(self, batch: Batch) -> AgentFailure | None:
        """Return the failure of a batch whose agent is held, None if it may be called."""
        if self._breakers is None or not self._breakers.is_holding:
            return None
        agent = self.agent_for(self._routes.of(*batch.conversation[:2]))
        return await self._breakers.held(agent.circuit) if agent is not None else None

    async def call(self, batch: Batch) -> AgentReply | AgentFailure:
        """Deliver one batch. A batch whose route names no agent waits like one whose agent cannot be reached."""
        route = self._routes.of(*batch.conversation[:2])
        agent = self.agent_for(route)
        if agent is None:
            where = f"agent_url of {route.name} in ROUTES_FILE" if self._routes.path else "AGENT_URL"
            return AgentFailure(f"there is no agent: {where} is not set", sent=False)
        result = await (_ask_once(agent, batch) if route.settings.repeat == "never" else agent.ask(batch))
        if self._breakers is None:
            return result
        return await self._breakers.judge(agent.circuit, batch, result)

    def read_late(self, batch: Batch) -> AgentReply | AgentFailure:
        """Return the answer that the agent has posted later, or the failure that it did not in time."""
        route = self._routes.of(*batch.conversation[:2])
        agent = self.agent_for(route)
        if batch.posted is None or agent is None:
            within_s = route.settings.answer_within_ms / 1000
            failure = doubt(f"the agent answered 202, and posted no answer within AGENT_ANSWER_WITHIN={within_s:g} s")
            return without_repeat(failure) if route.settings.repeat == "never" else failure
        return agent.read_late(batch, batch.posted)

    def agent_for(self, route: Route) -> Agent | None:
        """Return the agent of a route, None if it names none."""
        return self._of_routes.get(route) or self._find(route)

    def _find(self, route: Route) -> Agent | None:
        key = _key(route.settings)
        if key is None:
            return None
        if key not in self._agents:
            is_generic = route.settings.agent_kind == "generic"
            self._agents[key] = Agent(route.settings) if is_generic else KindAgent(route.settings)
        self._of_routes[route] = self._agents[key]
        return self._agents[key]

    def tags(self) -> set[str]:
        """Return the tags of the agents that the routes name."""
        return {circuit_of(route.settings).tag for route in self._routes.all() if route.settings.agent_url}

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


async def _ask_once(agent: Agent, batch: Batch) -> AgentReply | AgentFailure:
    return why_not_called(batch) or without_repeat(await agent.ask(batch))


async def _close_after(agent: Agent, timeout_s: float) -> None:
    """Close an agent that gets no new calls. Its last ones end within their time limit."""
    await asyncio.sleep(timeout_s)
    await agent.close()


def _key(settings: Settings) -> _Key | None:
    if settings.agent_url is None:
        return None
    secret = settings.agent_secret.get_secret_value() if settings.agent_secret else ""
    speech = tuple(getattr(settings, name) for name in SPEECH)
    return _Key(settings.agent_url, secret, settings.agent_timeout, speech)
