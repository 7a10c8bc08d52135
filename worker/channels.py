"""What the flushes of one channel need: the settings of its route, its agent, and where its replies go."""

from __future__ import annotations

from typing import NamedTuple

from buffer.models import Batch, Conversation
from config.routes import Route, Routes
from config.settings import Settings, require
from gateways.registry import GATEWAYS
from gateways.sending import Sender, Target
from gateways.targets import target_of
from worker.agent import Agent
from worker.agent_answer import AgentFailure
from worker.agents import Agents


class NoAgent:
    """Stands for the agent of a route that names none: its batches wait until one is set. `where` names the setting."""

    def __init__(self, where: str) -> None:
        self._where = where

    async def call(self, batch: Batch, body: bytes) -> AgentFailure:
        """Return the failure of a call that never left."""
        return AgentFailure(f"there is no agent: {self._where} is not set", sent=False)


class Channel(NamedTuple):
    """One channel. `target` is None where no replies are sent: SEND_REPLIES=off, or credentials are missing."""

    settings: Settings
    agent: Agent | NoAgent
    sender: Sender | None = None
    target: Target | None = None

    @property
    def is_silent(self) -> bool:
        """Return True if no replies are sent."""
        return self.sender is None or self.target is None


def require_agent(routes: Routes) -> None:
    """Raise SettingsError if no route has an AGENT_URL."""
    require(next((url for route in routes.all() if (url := route.settings.agent_url)), None), "AGENT_URL")


class Channels:
    """Finds the channel of a conversation. Routes that share an agent share its connections."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._version = routes.version
        self._found: dict[tuple[Route, str], Channel] = {}
        self.agents = Agents()

    def of(self, conversation: Conversation) -> Channel:
        """Return the channel as the routes are now."""
        route = self._routes.of(conversation.gateway, conversation.channel)
        found = self._found.get((route, conversation.gateway))
        return found if found is not None else self._find(route, conversation.gateway)

    async def close(self) -> None:
        """Close the connections to all agents."""
        await self.agents.close()

    def retire_unused(self) -> None:
        """Close the agents that no route uses any more. Call it after a reload."""
        self.agents.retire_unused(self._routes.all())

    def _find(self, route: Route, gateway: str) -> Channel:
        if self._version != self._routes.version:
            self._version = self._routes.version
            self._found.clear()
        settings = route.settings
        channel = Channel(settings, self._agent(route), GATEWAYS[gateway].sender, target_of(settings, gateway))
        self._found[route, gateway] = channel
        return channel

    def _agent(self, route: Route) -> Agent | NoAgent:
        where = f"agent_url of {route.name} in ROUTES_FILE" if self._routes.path else "AGENT_URL"
        return self.agents.of(route.settings) or NoAgent(where)
