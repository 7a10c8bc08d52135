"""Ends the streams at SIGTERM and SIGINT. uvicorn waits for open responses before it tells the application."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Calls `stop` in the running event loop at SIGTERM or SIGINT, before the handlers that are installed already.

    It does nothing outside the main thread, where no handler can be installed.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._former: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            found = {number: signal.getsignal(number) for number in SIGNALS}
            self._former = {number: handler for number, handler in found.items() if callable(handler)}
            for number in self._former:
                signal.signal(number, self._handle)

    def restore(self) -> None:
        """Put the former handlers back, unless others were installed meanwhile."""
        for number, handler in self._former.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)
        self._former[number](number, frame)
