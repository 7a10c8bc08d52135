"""The connection of a minimal HTTP server: it cuts what it reads into requests, and is cheaper than a library."""

from __future__ import annotations

import asyncio
import re
import time

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class HTTPRequests(asyncio.Protocol):
    """One connection. Each request with a body has a content-length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with an empty input."""
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        """Process each complete request."""
        now_s = time.time()
        self.read = self.read + data if self.read else data
        while (end := self.read.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self.read, 0, end)
            size = end + 4 + (int(found[1]) if found else 0)
            if len(self.read) < size:
                return
            request, self.read = self.read[:size], self.read[size:]
            self.process(request, end + 4, now_s)

    def process(self, request: bytes, body_at: int, now_s: float) -> None:
        """Answer a request, which was read at `now_s`. Its body begins at `body_at`."""
        raise NotImplementedError

    def write(self, response: bytes) -> None:
        """Send a response."""
        self.transport.write(response)  # type: ignore[attr-defined]


def json_response(status: bytes, body: bytes) -> bytes:
    """Return a response with a JSON body."""
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
    return head + body
