"""The windows in force of the channels of `auto` routes, which the webhook writes into each message."""

from __future__ import annotations

import asyncio
import time

from buffer.auto_windows import AutoWindows, Channel, bounded
from buffer.errors import StoreError
from buffer.models import Conversation
from buffer.store import Store
from buffer.window_policy import AutoPolicy, Window, explores
from buffer.windows import pack_window
from config.logs import get_logger
from config.routes import Routes

READ_EVERY_S = 10.0
"""Time between two reads. The workers write every 30 s."""

HOUR_S = 3600

log = get_logger()


class ChannelWindows:
    """What this process knows of the windows. Without Redis, or without a word of it, it keeps what it knew last."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._known: dict[Channel, Window] = {}

    def of(self, conversation: Conversation, policy: AutoPolicy) -> bytes:
        """Return the window of a message, as its record has it. Few conversations keep the longest for an hour."""
        if explores(":".join(conversation), int(time.time() // HOUR_S)):
            return pack_window(policy.max_ms, "auto_explore")
        window = self._known.get(conversation[:2])
        if window is None:
            return pack_window(policy.start_ms, "auto_start")
        return pack_window(*bounded(window, policy))

    async def run(self, store: Store) -> None:
        """Read the windows again and again, until cancelled. `read` has done it once."""
        while True:
            await asyncio.sleep(READ_EVERY_S)
            await self.read(store)

    async def read(self, store: Store) -> None:
        """Read the windows, if a route has any use for them."""
        if not any(route.settings.is_auto for route in self._routes.all()):
            return
        try:
            self._known |= await AutoWindows(store).read()
        except StoreError as error:
            log.debug("the windows of channels are not read; the last known ones stay", error=str(error))
