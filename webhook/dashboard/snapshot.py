"""Reads what the page shows: the one source of the page, its stream and `/snapshot.json`. The cost is bounded."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from buffer.duplicates import read_duplicates
from buffer.errors import store_error
from buffer.figures import Figures, figures_of
from buffer.held_agent_calls import HeldAgent
from buffer.held_agents import HeldAgents
from buffer.held_lists import HeldLists
from buffer.insight_models import ConversationView, Gauges
from buffer.insights import Insights
from buffer.keys import Ref
from buffer.operator_models import Pending
from buffer.person_store import People
from buffer.reply_models import HeldChannel
from buffer.reply_store import Replies
from buffer.store import Store
from buffer.transport.server_checks import CheckResult, inspect_server
from config.routes import Routes
from webhook.dashboard import masked
from webhook.dashboard.groups import grouped
from webhook.dashboard.health import Server, badges_of, calls_per_minute, indicators
from webhook.dashboard.models import Ended, HeldList, Snapshot, Strip, Waiting
from webhook.dashboard.tuning import tuning_of
from webhook.metrics.queue import QueueReader

PENDING_MAX = 50
ENDED_MAX = 200
HELD_MAX = 200
"""Entries of each list that are read."""

LOOKS_MAX = 12
DRAWN = ("open", "in_flight")
"""Conversations whose messages are looked at, for the timeline, and the states that it draws."""

ARRIVALS_MAX = 12
"""Receipts of a burst: as many as a record of the history has."""

CHANNELS_MAX = 100
"""Channels that are asked whether their replies are held."""

TOTALS_EVERY_S = 5.0
CHECKS_EVERY_S = 60.0
"""Seconds between two reads of the counters of all channels, and between two checks of the server."""

READ_TIMEOUT_S = 8.0

Clock = Callable[[], float]


@dataclass(slots=True)
class _Slow:
    """What changes slowly and is not read each time, and when it was read."""

    figures: Figures = field(default_factory=Figures)
    held: list[HeldChannel] = field(default_factory=list)
    agents: list[HeldAgent] = field(default_factory=list)
    window_s: float | None = None
    checks: list[CheckResult] = field(default_factory=list)
    totals_at_s: float = float("-inf")
    checks_at_s: float = float("-inf")


class SnapshotReader:
    """Reads snapshots of a store, one at a time."""

    def __init__(self, store: Store, routes: Routes, clock: Clock = time.monotonic) -> None:
        self._store = store
        self._routes = routes
        self._clock = clock
        self._insights = Insights(store)
        self._lists = HeldLists(store)
        self._queue = QueueReader(store.client, store.settings)
        self._slow = _Slow()
        self._history: tuple[list[Any], list[Ended]] = ([], [])
        self._one_at_a_time = asyncio.Lock()

    async def read(self) -> Snapshot:
        """Return what the page shows now. Raises StoreUnavailable, StoreError or TimeoutError."""
        async with self._one_at_a_time, asyncio.timeout(READ_TIMEOUT_S):
            await self._read_slow()
            gauges = await self._insights.gauges()
            skew_ms = abs(round(time.time() * 1000) - gauges.now_ms)
            ended = await self._ended()
            queue = await self._queue.read()
            workers = None if queue is None else queue.workers
            server = Server(self._slow.checks, workers, skew_ms, self._store.settings.admin_token is not None)
            return Snapshot(
                now_ms=gauges.now_ms,
                strip=self._strip(gauges, workers, ended),
                badges=badges_of(gauges, self._slow.held, self._slow.agents, server),
                pending=await self._pending(),
                ended=ended,
                dead_letters=await self._dead_letters(gauges.dead),
                doubts=await self._doubts(gauges.doubts),
                duplicates=await self._duplicates(),
                tuning=tuning_of(self._slow.figures, self._slow.window_s),
                health=indicators(self._slow.figures, gauges),
            )

    async def close(self) -> None:
        """Close the connections to RQ's Redis."""
        await self._queue.close()

    async def _read_slow(self) -> None:
        slow, now_s = self._slow, self._clock()
        if now_s - slow.totals_at_s >= TOTALS_EVERY_S:
            totals = await self._insights.totals()
            channels = sorted({(one.gateway, one.channel) for one in totals if one.gateway})
            slow.figures, slow.window_s = figures_of(totals), self._window_s(channels)
            slow.held = await Replies(self._store).held_channels(channels[:CHANNELS_MAX])
            slow.agents = (await HeldAgents(self._store).now()).held
            slow.totals_at_s = now_s
        if now_s - slow.checks_at_s >= CHECKS_EVERY_S:
            slow.checks = await self._check()
            slow.checks_at_s = now_s

    async def _check(self) -> list[CheckResult]:
        try:
            return await inspect_server(self._store.client, self._store.settings)
        except (RedisError, OSError) as error:
            raise store_error(error) from error

    def _window_s(self, channels: Sequence[tuple[str, str]]) -> float | None:
        """Return the window of all the channels, None if they have several."""
        found = {self._routes.of(*channel).settings.message_buffer_timeout for channel in channels}
        found = found or {self._routes.default.settings.message_buffer_timeout}
        return found.pop() if len(found) == 1 else None

    def _strip(self, gauges: Gauges, workers: int | None, ended: Sequence[Ended]) -> Strip:
        figures = self._slow.figures
        return Strip(
            pending=gauges.pending,
            overdue=gauges.overdue,
            oldest_overdue_ms=gauges.oldest_overdue_ms,
            calls_per_minute=calls_per_minute(ended, gauges.now_ms),
            messages_today=figures.today["messages"],
            calls_today=figures.today["flushes"],
            messages_per_call=figures.messages_per_call,
            dead=gauges.dead,
            doubts=gauges.doubts,
            workers=workers,
        )

    async def _pending(self) -> list[Waiting]:
        page = await self._insights.pending(PENDING_MAX)
        views = await self._look([found for found in page.items if found.state in DRAWN and found.ref][:LOOKS_MAX])
        return [masked.waiting(found, self._max_wait_ms(found), views.get(found.ref)) for found in page.items]

    def _max_wait_ms(self, found: Pending) -> int:
        gateway, channel, _ = found.conversation
        return self._routes.of(gateway, channel).settings.max_wait_ms

    async def _look(self, some: Sequence[Pending]) -> dict[str, ConversationView]:
        people = People(self._store)
        views = await asyncio.gather(*(people.look(Ref.parse(found.ref), ARRIVALS_MAX) for found in some))
        return {found.ref: view for found, view in zip(some, views, strict=True) if view}

    async def _ended(self) -> list[Ended]:
        """Return the records, which are read again once one has come or gone."""
        mark = await self._insights.history_mark()
        if mark != self._history[0]:
            page = await self._insights.flushes(ENDED_MAX)
            self._history = mark, [masked.ended(record) for record in page.items]
        return self._history[1]

    async def _duplicates(self) -> dict[str, tuple[int, ...]]:
        moments: dict[str, list[int]] = defaultdict(list)
        for ref, at_ms in await read_duplicates(self._store):
            moments[ref].append(at_ms)
        return {ref: tuple(found) for ref, found in moments.items()}

    async def _dead_letters(self, total: int) -> HeldList:
        if not total:
            return HeldList()
        page = await self._lists.dead_letters(HELD_MAX)
        return grouped(page.total or 0, map(masked.letter, page.items))

    async def _doubts(self, total: int) -> HeldList:
        if not total:
            return HeldList()
        page = await self._lists.doubts(HELD_MAX)
        return grouped(page.total or 0, map(masked.doubt, page.items))
