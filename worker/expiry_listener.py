"""The expiry listener: passes on expired timer keys and announcements: a nearer deadline, a batch that was taken back.

All are only hints. Pub/sub may lose messages and expiry events arrive late, so the wake index alone is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

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


class Hints(NamedTuple):
    """What is called for each hint.

    `announced` is also called for every new subscription, because hints may have been lost before. `reconnected` is
    called when a lost subscription is back. `superseded` is called for a batch in flight that was taken back.
    """

    announced: Callable[[], None]
    timer_expired: Callable[[Ref], None]
    superseded: Callable[[Ref], None]
    reconnected: Callable[[], None]


class ExpiryListener:
    """Subscribes to announcements and expiry events, and calls a function for each, with the conversation if known."""

    def __init__(self, client: AsyncClient, settings: Settings, hints: Hints) -> None:
        self._client = client
        self._keys = Keys(settings.redis_key_prefix)
        self._hints = hints
        self._announcements = {self._keys.of(one, "wake"): one for one in range(settings.redis_partitions)}
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
                self._hints.reconnected()
            self._hints.announced()
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=POLL_S)
                if message is not None:
                    self._receive(message)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    def _channels(self) -> list[str]:
        return [*self._announcements, self._events]

    def _expired_channel(self) -> str:
        pool = getattr(self._client, "connection_pool", None)
        database = pool.connection_kwargs.get("db", 0) if pool is not None else 0
        return f"__keyevent@{database or 0}__:expired"

    def _receive(self, message: dict[str, Any]) -> None:
        channel, said = message["channel"].decode(), message["data"].decode("utf-8", "replace")
        if channel != self._events:
            self._announced(channel, said)
        elif (ref := self._keys.timer_ref(said)) is not None:
            self._hints.timer_expired(ref)

    def _announced(self, channel: str, said: str) -> None:
        """An announcement without a word is a nearer deadline, and one with a hash a batch that was taken back."""
        if said:
            self._hints.superseded(Ref(self._announcements[channel], said))
        else:
            self._hints.announced()

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
