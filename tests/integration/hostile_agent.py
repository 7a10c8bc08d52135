"""An agent on bare sockets that mistreats a person's first call as its name says, and answers all others well."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.integration.hostile_answers import ANSWERS, REPLY, whole

READ_WITHIN_S = 20.0
PAUSE_S = 0.2
SLOW_ACCEPT_S = 1.0
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close send RST."""

ABRUPT = ("closes before reading", "resets before reading")
KINDS = (*ANSWERS, *ABRUPT)


@dataclass(slots=True)
class HostileCall:
    """One call that was read."""

    peer: str
    key: str
    body: bytes
    arrived_s: float
    over: bool = False


class HostileAgent:
    """Listens in a thread, with one more for each connection; a person's name is `<kind>/<anything>`."""

    def __init__(self) -> None:
        self.calls: list[HostileCall] = []
        self.before_reading: str | None = None
        """What happens to the next connection, whoever is behind it."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The address for AGENT_URL."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/agent"

    def calls_of(self, peer: str) -> list[HostileCall]:
        """The calls with this person's messages, in order of arrival."""
        return [call for call in list(self.calls) if call.peer == peer]

    def close(self) -> None:
        """End every connection."""
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                kind, self.before_reading = self.before_reading, None
                if kind == "accepts slowly":
                    time.sleep(SLOW_ACCEPT_S)
                threading.Thread(target=self._serve, args=(connection, kind), daemon=True).start()

    def _serve(self, connection: socket.socket, before_reading: str | None) -> None:
        connection.settimeout(READ_WITHIN_S)
        with connection, contextlib.suppress(OSError):
            if before_reading == "resets before reading":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if before_reading in ("resets before reading", "closes before reading"):
                return
            call = _read(connection)
            first = not self.calls_of(call.peer)
            self.calls.append(call)
            try:
                self._answer(connection, call.peer.partition("/")[0] if first else "")
            finally:
                call.over = True

    def _answer(self, connection: socket.socket, kind: str) -> None:
        if kind == "resets after reading":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return
        answer = ANSWERS.get(kind, whole(REPLY))
        for piece in [answer] if isinstance(answer, bytes) else answer():
            if self._over.is_set() or _is_left(connection):
                return
            connection.sendall(piece) if piece else time.sleep(PAUSE_S)


def _is_left(connection: socket.socket) -> bool:
    """Whether the other side has closed the connection."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""


def _read(connection: socket.socket) -> HostileCall:
    with connection.makefile("rb") as reader:
        reader.readline()
        headers = dict(_fields(reader))
        body = reader.read(int(headers[b"content-length"]))
    peer = json.loads(body)["conversation"]["id"]
    return HostileCall(peer, headers[b"idempotency-key"].decode(), body, time.monotonic())


def _fields(reader: Any) -> Iterator[tuple[bytes, bytes]]:
    while line := reader.readline().strip():
        name, _, value = line.partition(b":")
        yield name.lower(), value.strip()
