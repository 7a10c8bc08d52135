"""What the child processes log: one JSON event per line, through one pipe."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

LINE_MAX = 1_048_576
TAIL_LINES = 12

Event = dict[str, Any]


class Journal:
    """Reads the pipe; `fd` is the end for the children to write to."""

    def __init__(self) -> None:
        self._end, self.fd = os.pipe()
        self._events: list[Event] = []
        self._news = asyncio.Event()

    async def read(self) -> None:
        """Read until cancelled."""
        reader = asyncio.StreamReader(LINE_MAX)
        pipe = os.fdopen(self._end, "rb")
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            async for line in reader:
                self._events.append(_event(line))
                self._news.set()
        finally:
            transport.close()

    def close(self) -> None:
        """Close our copy of the children's end."""
        os.close(self.fd)

    def length(self) -> int:
        """How many events there have been."""
        return len(self._events)

    async def find(self, wanted: Callable[[Event], bool], start: int, within_s: float) -> Event:
        """The first event from `start` on that is wanted, waiting for it; raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                self._news.clear()
                for event in self._events[start:]:
                    if wanted(event):
                        return event
                start = len(self._events)
                await self._news.wait()

    def tail(self) -> list[str]:
        """The last lines, for people."""
        return [json.dumps(event, ensure_ascii=False) for event in self._events[-TAIL_LINES:]]


def _event(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"event": line.decode("utf-8", "replace").rstrip()}
