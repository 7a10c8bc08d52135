"""Connections to chosen webhook processes.

The processes share one listening socket, and with little to do the kernel nearly always wakes the same one. To use
several of them, the demo opens connections and reads in /proc which process accepted each.
"""

from __future__ import annotations

import http.client
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

CONNECTIONS_PER_TRY = 4
"""Connections opened at once, so that the kernel wakes more than one process for them."""

OPEN_WITHIN_S = 3.0
ACCEPTED_WITHIN_S = 0.5
CHECK_EVERY_S = 0.005
RESPONSE_TIMEOUT_S = 5.0

Connection = http.client.HTTPConnection


class ProcessConnections:
    """Open connections to the webhook at a loopback port, by the process that accepted them."""

    def __init__(self, port: int, pids: Sequence[int]) -> None:
        self._port = port
        self._pids = pids
        self._unused: dict[int | None, list[Connection]] = defaultdict(list)

    def take(self, pid: int) -> Connection:
        """Return an unused connection to this process, or to any process where /proc does not show the owner."""
        until = time.monotonic() + OPEN_WITHIN_S
        while not self._unused[pid] and time.monotonic() < until:
            self._open_some()
            if self._unused[None]:
                break
        others = (connections for connections in self._unused.values() if connections)
        return (self._unused[pid] or next(others)).pop()

    def close(self) -> None:
        """Close the unused connections."""
        for connections in self._unused.values():
            for connection in connections:
                connection.close()

    def _open_some(self) -> None:
        connections = [
            Connection("127.0.0.1", self._port, timeout=RESPONSE_TIMEOUT_S) for _ in range(CONNECTIONS_PER_TRY)
        ]
        for connection in connections:
            connection.connect()
        for connection in connections:
            self._unused[self._owner(connection)].append(connection)

    def _owner(self, connection: Connection) -> int | None:
        """Wait until a process has accepted the connection and return its pid, or None if /proc does not show it."""
        client_port = connection.sock.getsockname()[1]
        until = time.monotonic() + ACCEPTED_WITHIN_S
        while time.monotonic() < until:
            inode = _inode(self._port, client_port)
            owner = next((pid for pid in self._pids if _holds(pid, inode)), None)
            if owner is not None:
                return owner
            time.sleep(CHECK_EVERY_S)
        return None


def _inode(server_port: int, client_port: int) -> str:
    """Return the inode of the server's end of a loopback connection, or "" where /proc does not show it."""
    ends = [f"0100007F:{server_port:04X}", f"0100007F:{client_port:04X}"]
    with suppress(OSError):
        for line in Path("/proc/net/tcp").read_text().splitlines():
            fields = line.split()
            if fields[1:3] == ends:
                return fields[9]
    return ""


def _holds(pid: int, inode: str) -> bool:
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) == f"socket:[{inode}]":
                    return True
    return False
