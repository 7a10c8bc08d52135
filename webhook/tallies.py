"""Counts that no script sees: they are summed in this process, and added to Redis once a second and at the end.

A process that is killed loses those of its last second (docs/metrics.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from bisect import bisect_left
from collections.abc import Iterator

from buffer.errors import StoreError
from buffer.store import Store
from buffer.tallies import add_counts
from webhook.duplicates import Duplicates
from webhook.left_out import LeftOut

SEND_EVERY_S = 1.0

REQUESTS_REJECTED, MESSAGES_IGNORED, APPEND_MS = "requests_rejected", "messages_ignored", "append_ms"
"""The first parts of the fields, in the key `counters` of partition 0."""

APPEND_BOUNDS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000, math.inf)
"""Upper bounds of the buckets of `append_ms`. A request waits 1.7 s at most."""


class AppendTimes:
    """How long requests waited for Redis to store their messages, as a histogram."""

    def __init__(self) -> None:
        self.counts = [0] * len(APPEND_BOUNDS_MS)
        self.sum_ms = 0.0

    def add(self, seconds: float, requests: int) -> None:
        """Count the requests of one append call, which all waited for it."""
        ms = seconds * 1000
        self.counts[bisect_left(APPEND_BOUNDS_MS, ms)] += requests
        self.sum_ms += ms * requests


class Tallies:
    """Adds the counts of this process to those in Redis."""

    def __init__(self, left_out: LeftOut, append_times: AppendTimes, duplicates: Duplicates | None = None) -> None:
        self._left_out = left_out
        self._duplicates = duplicates
        self._append_times = append_times
        self._sent: dict[str, int] = {}
        self._stopped = asyncio.Event()

    async def run(self, store: Store) -> None:
        """Send once a second until `stop`, and a last time then. What Redis does not take is sent with the next."""
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SEND_EVERY_S):
                    await self._stopped.wait()
            with contextlib.suppress(StoreError):
                await self.send(store)
            if self._duplicates is not None:
                with contextlib.suppress(StoreError):
                    await self._duplicates.send(store)

    def stop(self) -> None:
        """Let `run` send a last time and return."""
        self._stopped.set()

    async def send(self, store: Store) -> None:
        """Add what was counted since the last time. Raises StoreUnavailable, StoreFull or StoreError."""
        totals = dict(self._totals())
        amounts = {field: total - self._sent.get(field, 0) for field, total in totals.items()}
        if new := {field: amount for field, amount in amounts.items() if amount}:
            await add_counts(store, new)
            self._sent = totals

    def _totals(self) -> Iterator[tuple[str, int]]:
        for what, counts in ((REQUESTS_REJECTED, self._left_out.refused), (MESSAGES_IGNORED, self._left_out.ignored)):
            for (gateway, reason), number in counts.items():
                yield f"{what}:{gateway}:{reason}", number
        for i, number in enumerate(self._append_times.counts):
            yield f"{APPEND_MS}:{i}", number
        yield f"{APPEND_MS}:sum", int(self._append_times.sum_ms)
