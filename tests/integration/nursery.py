"""Workers that start at once: forked from a process that has imported everything.

A worker needs a second of work to start. Where one dies every second, that would be all that a small machine does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.integration.processes import ROOT

PRELOADED = ("cli.main", "cli.commands.worker", "worker.process", "worker.flush", "worker.rq.projector", "aiohttp")


class Nursery:
    """Starts and kills workers with these settings; their output goes to one file."""

    def __init__(self, settings: Mapping[str, object], folder: Path) -> None:
        environment = {name.upper(): str(value) for name, value in settings.items()}
        with (folder / "log").open("wb") as output:
            self._mother = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.nursery"],
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
            )
        self._pids: list[int] = []

    def start(self, count: int = 1) -> None:
        """Start workers."""
        assert self._mother.stdin
        assert self._mother.stdout
        for _ in range(count):
            self._mother.stdin.write(b"\n")
            self._mother.stdin.flush()
            self._pids.append(int(self._mother.stdout.readline()))

    def kill_oldest(self) -> None:
        """kill -9."""
        os.kill(self._pids.pop(0), signal.SIGKILL)

    def close(self) -> None:
        """Kill them all."""
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._mother.kill()
        self._mother.wait()


def serve() -> None:
    """Fork a worker for each line that comes, and tell its process id."""
    for module in PRELOADED:
        __import__(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin.buffer.readline():
        pid = os.fork()
        if pid == 0:
            _work()
        print(pid, flush=True)


def _work() -> None:
    from cli.main import main

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    os._exit(main(["worker"]))


if __name__ == "__main__":
    serve()
