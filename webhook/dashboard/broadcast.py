"""One reader for all who watch: it reads once a second while somebody does, and everybody gets the same snapshot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from buffer.errors import StoreError
from config.logs import get_logger
from webhook.dashboard.models import Snapshot
from webhook.dashboard.view import View

EVERY_S = 1.0
"""Seconds between two reads."""

REST_FACTOR = 4
"""A read is followed by a rest of so many times its duration: a slow one never takes more than a fifth of the time."""

VIEWERS_MAX = 20
"""Viewers of one process. Each holds a connection."""

log = get_logger()


class TooManyViewers(Exception):
    """VIEWERS_MAX others watch through this process, or it is stopping."""


@dataclass(slots=True, frozen=True)
class Tick:
    """One reading: a snapshot, or None if Redis did not answer.

    `rendered` keeps its panels for each view, and `encoded` the events that tell some of them. `before` has the
    snapshot before it, and its panels.
    """

    number: int
    snapshot: Snapshot | None
    rendered: dict[View, dict[str, str]] = field(default_factory=dict)
    encoded: dict[tuple[View, str], str] = field(default_factory=dict)
    before: tuple[Snapshot | None, dict[View, dict[str, str]]] = (None, {})

    def next(self, snapshot: Snapshot | None) -> Tick:
        """Return the reading after this one."""
        return Tick(self.number + 1, snapshot, before=(self.snapshot, self.rendered))


class Broadcaster:
    """Reads while there are viewers, and tells them of each reading."""

    def __init__(self, read: Callable[[], Awaitable[Snapshot]]) -> None:
        self._read = read
        self._viewers = 0
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._tick = Tick(0, None)
        self.is_closed = False

    async def current(self) -> Snapshot:
        """Return the latest snapshot, or a new one if nobody watches. Raises StoreError or TimeoutError."""
        latest = self._tick.snapshot if self._viewers else None
        return latest or await self._read()

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """Count a viewer as long as it watches. Raises TooManyViewers."""
        if self.is_closed or self._viewers >= VIEWERS_MAX:
            raise TooManyViewers
        self._viewers += 1
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_on())
        try:
            yield
        finally:
            self._viewers -= 1
            if not self._viewers:
                self._rest()

    async def after(self, number: int) -> Tick | None:
        """Return the latest reading as soon as it is newer than `number`. Return None when the streams are to end."""
        while self._tick.number <= number and not self.is_closed:
            await self._news.wait()
        return None if self.is_closed else self._tick

    def close(self) -> None:
        """End all streams."""
        self.is_closed = True
        self._rest()
        self._tell()

    def _rest(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _read_on(self) -> None:
        while True:
            begun_s = time.monotonic()
            self._tick = self._tick.next(await self._snapshot())
            self._tell()
            spent_s = time.monotonic() - begun_s
            await asyncio.sleep(max(EVERY_S - spent_s, REST_FACTOR * spent_s))

    async def _snapshot(self) -> Snapshot | None:
        try:
            return await self._read()
        except (StoreError, TimeoutError):
            return None
        except Exception:
            log.exception("the page could not be read")
            return None
