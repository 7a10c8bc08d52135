"""The smallest agent there is: answers 204 to each POST, after a delay if asked to, and knows when each one came.

`GET /calls` tells how many have come, `GET /report` everything, `GET /reset` forgets. Lateness is the moment at which
the request is read minus its `closed_ms`, the deadline on the Redis server's clock: both are this machine's clock.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time

import orjson
import uvloop

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
DEADLINE = b'"closed_ms":'
FLUSH_ID = b'"flush_id":"'


class Book:
    """What has come since the last reset."""

    def __init__(self) -> None:
        self.calls = self.in_flight = self.peak = 0
        self.first_s = self.last_s = 0.0
        self.lateness_ms: list[float] = []
        self.flush_ids: set[bytes] = set()

    def enter(self, body: bytes, now_s: float) -> None:
        """Note one call: cheap, for the agent must not be what is measured."""
        self.calls += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.first_s, self.last_s = self.first_s or now_s, now_s
        at = body.rfind(DEADLINE) + len(DEADLINE)
        if at >= len(DEADLINE):
            self.lateness_ms.append(now_s * 1000 - int(body[at : at + 13]))
        at = body.find(FLUSH_ID) + len(FLUSH_ID)
        if at >= len(FLUSH_ID):
            self.flush_ids.add(body[at : body.index(b'"', at)])

    def as_json(self) -> bytes:
        """The report."""
        numbers = {"calls": self.calls, "distinct": len(self.flush_ids), "peak": self.peak, "in_flight": self.in_flight}
        return orjson.dumps(numbers | {"first_s": self.first_s, "last_s": self.last_s, "lateness_ms": self.lateness_ms})


class Agent(asyncio.Protocol):
    """One connection; requests come with a content-length."""

    delay_s = 0.0
    book = Book()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing read."""
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        now_s = time.time()
        self.read = self.read + data if self.read else data
        while (end := self.read.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self.read, 0, end)
            size = end + 4 + (int(found[1]) if found else 0)
            if len(self.read) < size:
                return
            request, self.read = self.read[:size], self.read[size:]
            self._take(request, end + 4, now_s)

    def _take(self, request: bytes, body_at: int, now_s: float) -> None:
        if request.startswith(b"GET "):
            self.transport.write(_told(request))  # type: ignore[attr-defined]
            return
        Agent.book.enter(request[body_at:], now_s)
        if self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s, self._answer, Agent.book)
        else:
            self._answer(Agent.book)

    def _answer(self, book: Book) -> None:
        book.in_flight -= 1
        self.transport.write(ANSWER)  # type: ignore[attr-defined]


def _told(request: bytes) -> bytes:
    if request.startswith(b"GET /reset"):
        Agent.book = Book()
    body = b"%d" % Agent.book.calls if request.startswith(b"GET /calls") else Agent.book.as_json()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def main(port: int, delay_s: float) -> None:
    """Serve until ended."""
    Agent.delay_s = delay_s
    server = await asyncio.get_running_loop().create_server(Agent, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
