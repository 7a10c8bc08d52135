"""Ends the streams at SIGTERM and SIGINT. uvicorn waits for open responses before it tells the application."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def call_at_stop(stop: Callable[[], None]) -> None:
    """Call `stop` in the running event loop at SIGTERM or SIGINT, before the handler that is installed now.

    It does nothing outside the main thread, where no handler can be installed.
    """
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            _put_before(number, loop, stop)


def _put_before(number: signal.Signals, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    former = signal.getsignal(number)
    if not callable(former):
        return

    def handle(given: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop)
        former(given, frame)

    signal.signal(number, handle)
