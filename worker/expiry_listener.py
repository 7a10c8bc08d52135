"""The expiry listener: passes expired timer keys and announcements of nearer deadlines to the dispatcher.

Both are only hints. Pub/sub may lose messages and expiry events arrive late, so the wake index alone is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import redis.exceptions as rx

from buffer.keys import Keys, Ref
from buffer.transport.clients import AsyncClient
from config.logs import get_logger
from config.settings import Settings

RECONNECT_S = 0.5
POLL_S = 5.0
NEEDED_FLAGS = "Ex"
"""Keyevent notifications for expired keys."""

log = get_logger()


class ExpiryListener:
    """Subscribes to announcements and expiry events, and calls a function for each, with the conversation if known.

    `on_announcement` is also called for every new subscription, because hints may have been lost before.
    `on_reconnect` is called when a lost subscription is back.
    """

    def __init__(
        self,
        client: AsyncClient,
        settings: Settings,
        on_announcement: Callable[[], None],
        on_timer_expired: Callable[[Ref], None],
        on_reconnect: Callable[[], None],
    ) -> None:
        self._client = client
        self._keys = Keys(settings.redis_key_prefix)
        self._partitions = settings.redis_partitions
        self._on_announcement = on_announcement
        self._on_timer_expired = on_timer_expired
        self._on_reconnect = on_reconnect
        self._events = self._expired_channel()

    async def run(self) -> None:
        """Listen until cancelled. Reconnect after every error."""
        first = True
        while True:
            try:
                await self._enable_events()
                await self._listen(first)
            except (rx.RedisError, OSError, TimeoutError) as error:
                log.debug("subscription lost; reconnecting", error=str(error))
            first = False
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self, first: bool) -> None:
        pubsub = self._client.pubsub()
        try:
            await pubsub.subscribe(*self._channels())
            if not first:
                self._on_reconnect()
            self._on_announcement()
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=POLL_S)
                if message is not None:
                    self._receive(message)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    def _channels(self) -> list[str]:
        announcements = [self._keys.of(partition, "wake") for partition in range(self._partitions)]
        return [*announcements, self._events]

    def _expired_channel(self) -> str:
        pool = getattr(self._client, "connection_pool", None)
        database = pool.connection_kwargs.get("db", 0) if pool is not None else 0
        return f"__keyevent@{database or 0}__:expired"

    def _receive(self, message: dict[str, Any]) -> None:
        if message["channel"].decode() != self._events:
            self._on_announcement()
        elif (ref := self._keys.timer_ref(message["data"].decode("utf-8", "replace"))) is not None:
            self._on_timer_expired(ref)

    async def _enable_events(self) -> None:
        """Add NEEDED_FLAGS to notify-keyspace-events. Log it if the server forbids CONFIG SET."""
        try:
            found = await self._client.config_get("notify-keyspace-events")
            flags = str(found.get("notify-keyspace-events", ""))
            wanted = merged_flags(flags)
            if wanted != flags:
                await self._client.config_set("notify-keyspace-events", wanted)
        except (rx.ResponseError, rx.NoPermissionError) as error:
            log.info(
                "this server does not allow CONFIG SET notify-keyspace-events; "
                "bursts are flushed on time all the same, by the wake index",
                error=str(error),
            )


def merged_flags(flags: str) -> str:
    """Return the server's flags with NEEDED_FLAGS added. `A` includes `x`."""
    missing = [flag for flag in NEEDED_FLAGS if flag not in flags and not (flag == "x" and "A" in flags)]
    return flags + "".join(missing)
