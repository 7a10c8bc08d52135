"""The terminal under a live screen: keys, signals, its size. It is left as it was found, however the command ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator

END_KEYS = frozenset(b"qQ\x03\x04")
"""q, Ctrl-C where it reaches us as a key, and Ctrl-D."""

END_SIGNALS = {signal.SIGINT: 0, signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGHUP: 128 + signal.SIGHUP}
"""Signals that end the screen, each with the exit code of the command."""


class LiveTerminal:
    """What the person at the terminal wants: that the screen ends, or is drawn again because its size has changed."""

    def __init__(self) -> None:
        self.code: int | None = None
        self._change = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """Return True if the screen is to end."""
        return self.code is not None

    def end(self, code: int = 0) -> None:
        """End the screen, and the command with an exit code."""
        self.code = code if self.code is None else self.code
        self._change.set()

    def redraw(self) -> None:
        """Have the screen drawn now."""
        self._change.set()

    async def wait(self, longest_s: float) -> None:
        """Wait until the screen is to be drawn or ended, at most `longest_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._change.wait()
        self._change.clear()


@contextlib.contextmanager
def live_terminal() -> Iterator[LiveTerminal]:
    """Listen to keys and signals of the terminal. Ctrl-Z does nothing: it would leave the screen behind."""
    terminal, loop = LiveTerminal(), asyncio.get_running_loop()
    for number, code in END_SIGNALS.items():
        loop.add_signal_handler(number, terminal.end, code)
    loop.add_signal_handler(signal.SIGWINCH, terminal.redraw)
    stopped = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        with _keys_to(terminal, loop):
            yield terminal
    finally:
        signal.signal(signal.SIGTSTP, stopped)
        for number in (*END_SIGNALS, signal.SIGWINCH):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _keys_to(terminal: LiveTerminal, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Read keys one by one and without an echo. Where stdin is no terminal, only signals end the screen."""
    if not sys.stdin.isatty():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def read() -> None:
        keys = _read(keyboard)
        if not keys or END_KEYS.intersection(keys):
            loop.remove_reader(keyboard)
            terminal.end()

    tty.setcbreak(keyboard, termios.TCSANOW)
    loop.add_reader(keyboard, read)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        with contextlib.suppress(termios.error, OSError):  # the terminal is gone
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _read(keyboard: int) -> bytes:
    """Return the keys that were pressed. Empty: the terminal is gone."""
    try:
        return os.read(keyboard, 1024)
    except OSError:
        return b""
