"""A terminal for one program: it has a size, takes keys, and notes all that the program writes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.polling import until
from tests.integration.processes import ROOT

CODE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
"""A code that steers a terminal, as rich writes it."""

COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
HOME = b"\x1b[H"
"""The code with which each drawing of a live screen begins."""

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
"""The codes that open a screen of its own, and that bring the lines before it back."""

HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


class PseudoTerminal:
    """Runs a command of ours on a terminal."""

    def __init__(
        self, arguments: list[str], settings: Mapping[str, object], folder: Path, width: int = 120, height: int = 30
    ) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(self._ours)
        environment = {name.upper(): str(value) for name, value in settings.items()}
        plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            env={**plain, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **environment},
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._ours, 65_536):
                self.written += data

    @property
    def text(self) -> str:
        """All that was written, without codes."""
        return CODE.sub(b"", self.written).decode(errors="replace").replace("\r\n", "\n")

    @property
    def screens(self) -> list[str]:
        """The whole drawings of a live screen, without codes."""
        drawn = (CODE.sub(b"", one).decode(errors="replace") for one in self.written.split(HOME)[1:-1])
        return [one for one in drawn if one]

    @property
    def settings(self) -> list[Any]:
        """How the terminal takes keys and shows them."""
        return termios.tcgetattr(self._ours)

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def press(self, keys: bytes) -> None:
        """Type keys. The terminal makes signals of Ctrl-C and the like."""
        os.write(self._ours, keys)

    def signal(self, number: int) -> None:
        """Send a signal to the program."""
        self._popen.send_signal(number)

    def wait_for(self, words: str) -> None:
        """Wait until a live screen shows these words."""
        until(f"the screen shows {words!r}", lambda: any(words in one for one in self.screens[-2:]) or self.has_ended)
        assert not self.has_ended, self.text

    @property
    def has_ended(self) -> bool:
        """Whether the program has ended."""
        return self._popen.poll() is not None

    def wait(self, within_s: float = 30.0) -> int:
        """Wait for the end of the program. Returns its exit code."""
        code = self._popen.wait(within_s)
        self._reader.join(0.5)
        return code

    def close(self) -> None:
        """End the program whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        os.close(self._ours)
