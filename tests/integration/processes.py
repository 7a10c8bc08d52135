"""The processes of the service as its users start them: the webhook under uvicorn, and the worker."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.integration.polling import until
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-the-tests"
WORKER = [sys.executable, "-m", "cli", "worker"]
FAST_PATH = ("--http", "webhook.fast_path:FastPathProtocol", "--no-access-log")
UVICORN_PATH = ("--http", "httptools")
SERVE = ("serve",)
TAIL = 3_000
POST_WITHIN_S = 30.0

logger = logging.getLogger(__name__)


class Process:
    """One process of ours and its children, in a folder without a `.env`; its output goes to a file."""

    def __init__(self, arguments: list[str], settings: Mapping[str, object], folder: Path) -> None:
        self.log_file = folder / "log"
        environment = {name.upper(): str(value) for name, value in settings.items()}
        with self.log_file.open("wb") as output:
            self._popen = subprocess.Popen(
                arguments,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def log(self) -> str:
        """Everything that it has written."""
        return self.log_file.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._popen.poll() is None

    def log_lines(self) -> list[dict[str, Any]]:
        """The structured log, complete lines only."""
        lines = self.log.splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def signal(self, number: int) -> None:
        """Send a signal to the process, not to its children."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to it and its children, as a crash of the pod."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def terminate(self) -> None:
        """SIGTERM, as an orderly stop."""
        self.signal(signal.SIGTERM)

    def wait(self, within_s: float = 60.0) -> int:
        """Wait for its end; returns the exit status, negative for a signal."""
        return self._popen.wait(within_s)

    def close(self) -> None:
        """End it whatever it does; its last lines are kept for a test that fails."""
        self.kill()
        logger.warning("%s\n%s", self.log_file, self.log[-TAIL:])


class Worker(Process):
    """A flush worker."""

    def wait_ready(self) -> None:
        """Wait until it takes jobs."""
        until("the worker has started", lambda: "worker started" in self.log or not self.alive)
        assert self.alive, self.log


class Webhook(Process):
    """The webhook on a free port: uvicorn on the fast path by default, or the command `debouncer serve`."""

    def __init__(
        self, workers: int, settings: Mapping[str, object], folder: Path, options: Sequence[str] = FAST_PATH
    ) -> None:
        self.port = free_port()
        self.workers = workers
        self._listens_first = options == SERVE
        # No connection is kept: each post may reach another uvicorn worker, as those of real gateways do.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(headers=bearer(), limits=limits, timeout=POST_WITHIN_S, verify=False)
        many = ["--workers", str(workers)] if workers > 1 else []
        listen = ["--host", "127.0.0.1", "--port", str(self.port)]
        program = ["cli", *options] if options == SERVE else ["uvicorn", "webhook.main:app", *options]
        command = [sys.executable, "-m", *program, *listen, *many]
        super().__init__(command, settings, folder)

    @property
    def url(self) -> str:
        """The address of the generic gateway."""
        return f"http://127.0.0.1:{self.port}/webhooks/generic"

    def wait_ready(self) -> None:
        """Wait until every uvicorn worker serves."""
        until("uvicorn has started", lambda: self._serving() or not self.alive)
        assert self.alive, self.log

    def pids(self) -> list[int]:
        """The uvicorn workers that were started so far, oldest first."""
        return [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", self.log)]

    def say(self, conversation: str, text: str, **fields: object) -> httpx.Response:
        """Post one message."""
        return self.post({"conversation": conversation, "text": text, **fields})

    def post(self, body: object) -> httpx.Response:
        """Post any body to the generic gateway: bytes as they are, everything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(self.url, content=content)

    def get(self, path: str) -> httpx.Response:
        """Get one page."""
        return self.client.get(f"http://127.0.0.1:{self.port}{path}")

    def close(self) -> None:
        """End it and the connections to it."""
        self.client.close()
        super().close()

    def _serving(self) -> bool:
        """One process of uvicorn listens after its start-up; several, and `debouncer serve`, before it."""
        lines = self.log
        listens = self._listens_first or "Uvicorn running on" in lines
        return listens and lines.count("Application startup complete") >= self.workers


def bearer() -> dict[str, str]:
    """The headers that open the generic gateway."""
    return {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
