"""`debouncer up` as a process of a test."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx

from tests.integration.polling import until
from tests.integration.processes import TOKEN, Process, bearer
from tests.servers import free_port

POST_WITHIN_S = 20.0


class Up(Process):
    """`debouncer up` with a window of one second."""

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        folder.mkdir()
        self.port = int(str(settings.get("port", free_port())))
        self.data = Path(str(settings.get("data_dir", folder / "data")))
        basis = {
            "port": self.port,
            "data_dir": self.data,
            "generic_token": TOKEN,
            "log_format": "json",
            "message_buffer_timeout": 1.0,
            "agent_timeout": 5.0,
            "shutdown_grace": 5.0,
            "retry_base": 0.2,
            "retry_max": 1.0,
            "visibility_time": 1.0,
            "flush_lease": 1.5,
            "flush_renew_interval": 0.5,
        }
        super().__init__([sys.executable, "-m", "cli", "up", *arguments], {**basis, **settings}, folder)

    @property
    def url(self) -> str:
        """The address of the generic gateway."""
        return f"http://127.0.0.1:{self.port}/webhooks/generic"

    def wait_up(self) -> None:
        """Wait until it has logged that it is up."""
        until("it is up", lambda: "debouncer is up" in self.log or not self.alive)
        assert self.alive, self.log

    def children(self, name: str) -> list[int]:
        """The process ids that a part has had, oldest first."""
        lines = self.log_lines()
        return [line["child"] for line in lines if line["event"] == "process started" and line["process"] == name]

    def pids(self) -> set[int]:
        """Every process that has written to the log, or was started."""
        started = {pid for name in ("server", "worker", "webhook") for pid in self.children(name)}
        return started | {line["pid"] for line in self.log_lines()}

    def say(self, peer: str, text: str) -> None:
        """Post a message that must be accepted, after a refusal once more, as a gateway does."""
        body = {"conversation": peer, "text": text, "message_id": f"{peer}-{text}"}
        until(f"{text!r} is accepted", lambda: self._post(body))

    def wait_stored(self, text: str) -> None:
        """Wait until a message has reached the server's file: `everysec` may lag behind its answer."""
        files = self.data / "appendonlydir"
        until(f"{text!r} is on file", lambda: any(text.encode() in file.read_bytes() for file in files.glob("*.aof")))

    def _post(self, body: dict[str, str]) -> bool:
        try:
            return httpx.post(self.url, json=body, headers=bearer(), timeout=POST_WITHIN_S).status_code == 200
        except httpx.HTTPError:
            return False
