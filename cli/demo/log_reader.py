"""Reads the logs of the child processes: one JSON event per line, through one pipe."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

LINE_MAX = 1_048_576
"""Bytes."""

TAIL_LINES = 12

Event = dict[str, Any]


class LogReader:
    """Reads events from a pipe. The children write to `fd`."""

    def __init__(self) -> None:
        self._read_fd, self.fd = os.pipe()
        self._events: list[Event] = []
        self._arrived = asyncio.Event()

    async def read(self) -> None:
        """Read until cancelled."""
        reader = asyncio.StreamReader(LINE_MAX)
        pipe = os.fdopen(self._read_fd, "rb")
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            async for line in reader:
                self._events.append(_event(line))
                self._arrived.set()
        finally:
            transport.close()

    def close(self) -> None:
        """Close this process's copy of `fd`."""
        os.close(self.fd)

    def count(self) -> int:
        """Return the number of events so far."""
        return len(self._events)

    async def find(self, wanted: Callable[[Event], bool], start: int, within_s: float) -> Event:
        """Return the first wanted event from number `start` on. Waits for it, and raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                self._arrived.clear()
                for event in self._events[start:]:
                    if wanted(event):
                        return event
                start = len(self._events)
                await self._arrived.wait()

    def tail(self) -> list[str]:
        """Return the last events as lines of text."""
        return [json.dumps(event, ensure_ascii=False) for event in self._events[-TAIL_LINES:]]


def _event(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"event": line.decode("utf-8", "replace").rstrip()}
