"""Reads what one scrape needs, and writes it as text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client.exposition import choose_encoder

from buffer.held_agents import HeldAgents
from buffer.insights import Insights
from buffer.reply_models import HeldChannel
from buffer.reply_store import Replies
from buffer.store import Store
from buffer.transport.clients import AsyncClient, connect
from config.settings import Settings
from webhook.metrics.families import Snapshot, SnapshotCollector
from webhook.metrics.queue import QueueState, read_queue

SCRAPE_TIMEOUT_S = 8.0
"""Seconds that a scrape may take. Prometheus itself gives up after 10 s."""

CHANNELS_AT_ONCE = 100
"""Channels of one read. A read of many delays the webhooks of this process."""

QUEUE_TIMEOUT_S = 1.0
"""Seconds that a scrape waits for RQ's Redis."""


class Text(NamedTuple):
    """The text of a scrape, in the format that the client accepts."""

    body: bytes
    content_type: str


class Scraper:
    """Makes the text of a scrape from Redis. One scrape runs at a time, the next one waits for it."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._insights = Insights(store)
        self._replies = Replies(store)
        self._agents = HeldAgents(store)
        self._queue = settings.rq_queue
        self._store_client = store.client
        self._own_client: AsyncClient | None = None
        if settings.rq_redis_url is not None and settings.rq_redis_url != settings.redis_url:
            self._own_client = connect(settings.rq_redis_url, timeout_s=QUEUE_TIMEOUT_S)
        self._one_at_a_time = asyncio.Lock()

    async def scrape(self, accept: str) -> Text:
        """Return the metrics. Raises StoreUnavailable, StoreError or TimeoutError."""
        encode, content_type = choose_encoder(accept)
        async with asyncio.timeout(SCRAPE_TIMEOUT_S), self._one_at_a_time:
            collector = SnapshotCollector(await self.read())
            # in a thread: the webhooks of this process must not wait for the text of a thousand channels
            return Text(await asyncio.to_thread(encode, collector), content_type)

    async def read(self) -> Snapshot:
        """Read what the metrics are made of. Raises StoreUnavailable or StoreError."""
        totals = await self._insights.totals()
        held = await self._held_of([(one.gateway, one.channel) for one in totals if one.gateway])
        agents = (await self._agents.now()).held
        return Snapshot(totals, await self._insights.gauges(), held, await self._read_queue(), agents)

    async def _held_of(self, channels: Sequence[tuple[str, str]]) -> list[HeldChannel]:
        held: list[HeldChannel] = []
        for start in range(0, len(channels), CHANNELS_AT_ONCE):
            held += await self._replies.held_channels(channels[start : start + CHANNELS_AT_ONCE])
        return held

    async def close(self) -> None:
        """Close the connections to RQ's Redis."""
        if self._own_client is not None:
            await self._own_client.aclose()

    async def _read_queue(self) -> QueueState | None:
        try:
            async with asyncio.timeout(2 * QUEUE_TIMEOUT_S):
                return await read_queue(self._own_client or self._store_client, self._queue)
        except TimeoutError:
            return None
