"""Reads what one scrape needs, and writes it as text."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from prometheus_client.exposition import choose_encoder

from buffer.auto_windows import AutoWindows
from buffer.held_agents import HeldAgents
from buffer.insights import Insights
from buffer.reply_store import Replies
from buffer.store import Store
from config.settings import Settings
from webhook.metrics.families import Snapshot, SnapshotCollector
from webhook.metrics.queue import QueueReader

SCRAPE_TIMEOUT_S = 8.0
"""Seconds that a scrape may take. Prometheus itself gives up after 10 s."""


class Text(NamedTuple):
    """The text of a scrape, in the format that the client accepts."""

    body: bytes
    content_type: str


class Scraper:
    """Makes the text of a scrape from Redis. One scrape runs at a time, the next one waits for it."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._insights = Insights(store)
        self._replies = Replies(store)
        self._windows = AutoWindows(store)
        self._queue = QueueReader(store.client, settings)
        self._agents = HeldAgents(store)
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
        held = await self._replies.held_channels([(one.gateway, one.channel) for one in totals if one.gateway])
        agents = (await self._agents.now()).held
        gauges, windows = await self._insights.gauges(), await self._windows.read()
        return Snapshot(totals, gauges, held, await self._queue.read(), agents, windows)

    async def close(self) -> None:
        """Close the connections to RQ's Redis."""
        await self._queue.close()
