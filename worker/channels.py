"""What the flushes of one channel need: the settings of its route, and where its replies go."""

from __future__ import annotations

from typing import NamedTuple

from buffer.models import Conversation
from config.routes import Route, Routes
from config.settings import Settings
from gateways.registry import GATEWAYS
from gateways.sending import Sender, Target
from gateways.targets import target_of


class Channel(NamedTuple):
    """One channel. `target` is None where no replies are sent: SEND_REPLIES=off, or credentials are missing."""

    settings: Settings
    sender: Sender | None = None
    target: Target | None = None

    @property
    def is_silent(self) -> bool:
        """Return True if no replies are sent."""
        return self.sender is None or self.target is None


class Channels:
    """Finds the channel of a conversation."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._version = routes.version
        self._found: dict[tuple[Route, str], Channel] = {}

    def of(self, conversation: Conversation) -> Channel:
        """Return the channel as the routes are now."""
        route = self._routes.of(conversation.gateway, conversation.channel)
        found = self._found.get((route, conversation.gateway))
        return found if found is not None else self._find(route, conversation.gateway)

    def _find(self, route: Route, gateway: str) -> Channel:
        if self._version != self._routes.version:
            self._version = self._routes.version
            self._found.clear()
        settings = route.settings
        channel = Channel(settings)
        if gateway in GATEWAYS:  # a batch of another version may name one that is not known here
            channel = Channel(settings, GATEWAYS[gateway].sender, target_of(settings, gateway))
        self._found[route, gateway] = channel
        return channel
