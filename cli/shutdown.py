"""How SIGTERM, SIGINT and SIGHUP (a closed terminal) stop the commands."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any


def exit_on_signal() -> None:
    """Exit with code 0 on SIGTERM or SIGINT, until another handler is installed."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)


def _exit(number: int, _: Any) -> None:
    sys.exit(0)


class ShutdownSignal:
    """Sets `requested` at the first signal and `forced` at the second. Needs a running event loop."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.forced = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _numbers():
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self.requested.is_set():
            self.forced.set()
        self.requested.set()

    async def run_until_shutdown(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run the coroutine, or cancel it when a shutdown is requested. Return True if it finished."""
        working = asyncio.ensure_future(work)
        requested = asyncio.ensure_future(self.requested.wait())
        try:
            await asyncio.wait((working, requested), return_when=asyncio.FIRST_COMPLETED)
        finally:
            requested.cancel()
            finished = working.done()
            working.cancel()
        await asyncio.wait((working,))
        if finished:
            working.result()
        return finished


def _numbers() -> list[signal.Signals]:
    """Return the signals to handle, without SIGHUP where `nohup` has it ignored."""
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
    return [signal.SIGTERM, signal.SIGINT, *hangup]
