"""What `debouncer top` shows at one moment, and the reads for it. Each second costs Redis a few bounded commands."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from buffer.errors import StoreError
from buffer.figures import Figures, figures_of
from buffer.held_agent_calls import HeldAgent
from buffer.held_agents import HeldAgents
from buffer.insight_models import FlushRecord, Gauges, Page
from buffer.insights import Insights
from buffer.operator_models import Pending
from buffer.owner_store import Owners
from buffer.reply_models import HeldChannel
from buffer.reply_store import Replies
from buffer.store import Store
from buffer.transport.clients import AsyncClient
from buffer.transport.server_checks import CheckResult, inspect_server
from cli.preflight import REDIS_ERRORS
from cli.redis_errors import explain
from config.settings import Settings
from worker.rq.heartbeats import live_worker_hosts
from worker.rq.suspension import is_suspended

EVERY_S = 1.0
"""Seconds between two reads."""

TOTALS_EVERY = 5
CHECKS_EVERY = 60
"""Reads between two reads of the counters of all channels, and between two checks of the server."""

ROWS_MAX = 100
"""Rows of a list that are read. No screen shows more."""

RATE_OVER_S = 60.0
"""The seconds over which the flushes are counted for their rate."""

Clock = Callable[[], float]


@dataclass(slots=True, frozen=True)
class Slow:
    """What changes slowly and is not read every time."""

    figures: Figures = field(default_factory=Figures)
    held: list[HeldChannel] = field(default_factory=list)
    conflict: str | None = None
    agents: list[HeldAgent] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Picture:
    """What is to be seen. `read_at_s` is when it was read, by the clock of this process, for countdowns.

    `flushes_per_minute` is None until there are two readings of the counters.
    """

    gauges: Gauges
    pending: Page[Pending]
    flushes: list[FlushRecord]
    hosts: list[str]
    is_suspended: bool
    slow: Slow
    checks: list[CheckResult]
    flushes_per_minute: float | None
    read_at_s: float

    def now_ms(self, at_s: float) -> int:
        """Return the time of the server when the clock of this process shows `at_s`."""
        return self.gauges.now_ms + round((at_s - self.read_at_s) * 1000)


class Rate:
    """The flushes of the last minute, from readings of how many there have been in all."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, int]] = deque()

    def add(self, at_s: float, total: int) -> None:
        """Note a reading."""
        self._readings.append((at_s, total))
        while len(self._readings) > 2 and at_s - self._readings[1][0] >= RATE_OVER_S:
            self._readings.popleft()

    @property
    def per_minute(self) -> float | None:
        """Return the rate, None before the second reading."""
        if len(self._readings) < 2:
            return None
        (first_s, first), (last_s, last) = self._readings[0], self._readings[-1]
        return max(0, last - first) * 60 / (last_s - first_s)


class Watcher:
    """Reads pictures, one after the other. `picture` is the latest, `error` says why there is no newer one."""

    def __init__(self, store: Store, queue: AsyncClient, clock: Clock = time.monotonic) -> None:
        self.picture: Picture | None = None
        self.error: str | None = None
        self._store = store
        self._queue = queue
        self._clock = clock
        self._insights = Insights(store)
        self._rate = Rate()
        self._reads = 0
        self._slow = Slow()
        self._checks: list[CheckResult] = []

    async def watch(self) -> None:
        """Read for ever. Redis may go away and come back."""
        while True:
            await self.read()
            await asyncio.sleep(EVERY_S)

    async def read(self) -> None:
        """Read a picture, or note why that was not possible."""
        try:
            self.picture, self.error = await self._picture(), None
        except StoreError as error:
            self.error = str(error)
        except REDIS_ERRORS as error:
            self.error = explain(error, self._settings.redis_url or "")

    async def _picture(self) -> Picture:
        if self._reads % TOTALS_EVERY == 0:
            self._slow = await self._read_slow()
        if self._reads % CHECKS_EVERY == 0:
            results = await inspect_server(self._store.client, self._settings)
            self._checks = [result for result in results if result.level != "ok"]
        self._reads += 1
        gauges = await self._insights.gauges()
        return Picture(
            gauges=gauges,
            read_at_s=self._clock(),
            pending=await self._insights.pending(ROWS_MAX),
            flushes=(await self._insights.flushes(ROWS_MAX)).items,
            hosts=await live_worker_hosts(self._queue, self._settings.rq_queue),
            is_suspended=await is_suspended(self._queue),
            slow=self._slow,
            checks=self._checks,
            flushes_per_minute=self._rate.per_minute,
        )

    async def _read_slow(self) -> Slow:
        totals = await self._insights.totals()
        channels = sorted({(one.gateway, one.channel) for one in totals})
        figures = figures_of(totals)
        self._rate.add(self._clock(), figures.calls)
        held = await Replies(self._store).held_channels(channels)
        agents = (await HeldAgents(self._store).now()).held
        return Slow(figures, held, await Owners(self._store).conflict(), agents)

    @property
    def _settings(self) -> Settings:
        return self._store.settings
