"""A minimal Evolution API: it answers each POST at once with an id of its own, and counts what it was asked.

`GET /counts` returns the numbers of messages and of typing indicators.
"""

from __future__ import annotations

import asyncio
import re
import sys

import orjson
import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
MESSAGE, TYPING = b"POST /message/", b"POST /chat/sendPresence/"


class Gateway(asyncio.Protocol):
    """One connection."""

    messages = typings = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with an empty input."""
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self.read = self.read + data if self.read else data
        while (end := self.read.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self.read, 0, end)
            size = end + 4 + (int(found[1]) if found else 0)
            if len(self.read) < size:
                return
            request, self.read = self.read[:size], self.read[size:]
            self.transport.write(_response(*_answer(request)))  # type: ignore[attr-defined]


def _answer(request: bytes) -> tuple[bytes, object]:
    if request.startswith(MESSAGE):
        Gateway.messages += 1
        return b"201 Created", {"key": {"id": f"3EB0{Gateway.messages:018X}", "fromMe": True}, "status": "PENDING"}
    if request.startswith(TYPING):
        Gateway.typings += 1
        return b"201 Created", {"presence": "composing"}
    return b"200 OK", {"messages": Gateway.messages, "typings": Gateway.typings}


def _response(status: bytes, content: object) -> bytes:
    body = orjson.dumps(content)
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
    return head + body


async def main(port: int) -> None:
    """Serve until the process is stopped."""
    server = await asyncio.get_running_loop().create_server(Gateway, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
