"""SIGTERM and SIGINT (and a closed terminal): how the commands are asked to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any


def exit_on_signal() -> None:
    """Exit with success at SIGTERM or SIGINT, until something else is installed."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def _leave(number: int, _: Any) -> None:
    sys.exit(0)


class ShutdownSignal:
    """The wish to stop: `asked` after the first signal, `hurry` after the second; needs a running loop."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _numbers():
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self.asked.is_set():
            self.hurry.set()
        self.asked.set()

    async def unless(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work, or drop it when asked to stop; returns whether it was done."""
        working = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self.asked.wait())
        try:
            await asyncio.wait((working, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            done = working.done()
            working.cancel()
        await asyncio.wait((working,))
        if done:
            working.result()
        return done


def _numbers() -> list[signal.Signals]:
    """`nohup` ignores SIGHUP, and that is kept."""
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
    return [signal.SIGTERM, signal.SIGINT, *hangup]
