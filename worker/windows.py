"""Finds the windows of the channels and contacts of `auto` routes, and notes them in Redis."""

from __future__ import annotations

import asyncio

from buffer.auto_windows import AutoWindows, Channel, policy_of
from buffer.errors import StoreError
from buffer.habits import contact_window, habits_after, pack_habits, unpack_habits
from buffer.insights import Insights
from buffer.models import Batch
from buffer.store import Store
from buffer.window_policy import AutoPolicy, Gaps, channel_window
from config.logs import get_logger
from config.routes import Routes

EVERY_S = 30.0
"""Time between two rounds. Each worker does them all: what they write is the same."""

CHANNELS_AT_ONCE = 50
REST_S = 0.02
"""Channels that are looked at together, and the pause after them: the flushes come first."""

log = get_logger()


class Windows:
    """The windows of one worker process. `habits_of` is for each flush, `run` for the process."""

    def __init__(self, store: Store, routes: Routes) -> None:
        self._auto = AutoWindows(store)
        self._insights = Insights(store)
        self._routes = routes
        self._gaps: dict[Channel, Gaps | None] = {}
        self._agent_ms: dict[Channel, int] = {}
        self._told: set[Channel] = set()

    async def run(self) -> None:
        """Find the windows again and again, until cancelled."""
        while True:
            try:
                await self.find()
            except StoreError as error:
                log.debug("the windows of channels are put off", error=str(error))
            await asyncio.sleep(EVERY_S)

    async def find(self) -> None:
        """Find the window of each channel of an `auto` route, and note it. Raises StoreError."""
        if not any(route.settings.is_auto for route in self._routes.all()):
            self._gaps.clear()
            return
        channels = [one for one in await self._insights.channels() if self._routes.of(*one).settings.is_auto]
        for start in range(0, len(channels), CHANNELS_AT_ONCE):
            some = channels[start : start + CHANNELS_AT_ONCE]
            found = await self._auto.gaps(some)
            self._agent_ms |= await self._auto.agent_ms([one for one in some if self._restarts(one)])
            await self._auto.write({one: channel_window(gaps, self._policy(one)) for one, gaps in found.items()})
            self._gaps |= found
            self._tell(found)
            await asyncio.sleep(REST_S)

    def habits_of(self, batch: Batch) -> bytes:
        """Return the habits of a batch's person with this batch, and their own window. Empty for a fixed window.

        Before the first round of this process the gaps of the channel are unknown: the person keeps the own window.
        """
        gateway, channel, _ = batch.conversation
        if not self._routes.of(gateway, channel).settings.is_auto:
            return b""
        received_ms = sorted(message.received_ms for message in batch.messages)
        before = batch.before
        moments = (None, received_ms) if before is None else (before.last_ms, received_ms, before.acked_ms)
        habits = habits_after(unpack_habits(batch.habits), *moments)
        if (gateway, channel) in self._gaps:
            own = contact_window(habits, self._gaps[gateway, channel], self._policy((gateway, channel)))
            habits = habits._replace(window_ms=own.window_ms if own.why == "auto_contact" else 0)
        return pack_habits(habits)

    def _policy(self, channel: Channel) -> AutoPolicy:
        """Return what the route asks. A call that can be taken back protects for as long as it usually takes."""
        take_back_ms = self._agent_ms.get(channel, 0) if self._restarts(channel) else 0
        return policy_of(self._routes.of(*channel).settings)._replace(take_back_ms=take_back_ms)

    def _restarts(self, channel: Channel) -> bool:
        return self._routes.of(*channel).settings.message_while_answering == "restart"

    def _tell(self, found: dict[Channel, Gaps | None]) -> None:
        """Log once of each channel whose gaps cannot be read."""
        broken = {channel for channel, gaps in found.items() if gaps is None}
        self._told -= found.keys() - broken
        for gateway, channel in sorted(broken - self._told):
            log.warning(
                "the gaps of a channel cannot be read; it keeps the window that a new one starts with",
                gateway=gateway,
                channel=channel,
            )
        self._told |= broken
