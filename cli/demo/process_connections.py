"""Connections to chosen webhook processes.

The processes share one listening socket, and when there is little to do the kernel nearly always wakes the same one.
To see several at work, the demo opens connections, asks the kernel who took which, and uses them in turn.
"""

from __future__ import annotations

import http.client
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

LOT = 4
"""Connections opened at once: more than one process wakes up for them."""

PATIENCE_S = 3.0
TAKEN_WITHIN_S = 0.5
LOOK_EVERY_S = 0.005
WITHIN_S = 5.0

Connection = http.client.HTTPConnection


class Connections:
    """Open connections to the webhook at a loopback port, by the process that holds their other end."""

    def __init__(self, port: int, pids: Sequence[int]) -> None:
        self._port = port
        self._pids = pids
        self._spare: dict[int | None, list[Connection]] = defaultdict(list)

    def to(self, pid: int) -> Connection:
        """A fresh connection to this process; to any of them where the kernel does not tell (it does on Linux)."""
        until = time.monotonic() + PATIENCE_S
        while not self._spare[pid] and time.monotonic() < until:
            self._open_some()
            if self._spare[None]:
                break
        any_spare = (lot for lot in self._spare.values() if lot)
        return (self._spare[pid] or next(any_spare)).pop()

    def close(self) -> None:
        """Close those that were not used."""
        for lot in self._spare.values():
            for connection in lot:
                connection.close()

    def _open_some(self) -> None:
        lot = [Connection("127.0.0.1", self._port, timeout=WITHIN_S) for _ in range(LOT)]
        for connection in lot:
            connection.connect()
        for connection in lot:
            self._spare[self._owner(connection)].append(connection)

    def _owner(self, connection: Connection) -> int | None:
        client_port = connection.sock.getsockname()[1]
        until = time.monotonic() + TAKEN_WITHIN_S
        while time.monotonic() < until:
            inode = _inode(self._port, client_port)
            owner = next((pid for pid in self._pids if _holds(pid, inode)), None)
            if owner is not None:
                return owner
            time.sleep(LOOK_EVERY_S)
        return None


def _inode(server_port: int, client_port: int) -> str:
    """The kernel's number for the server's end of a loopback connection; empty when it does not tell."""
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
