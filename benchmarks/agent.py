"""The smallest agent there is: answers 204 to each request, after a delay if asked to."""

from __future__ import annotations

import asyncio
import sys

import uvloop

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Agent(asyncio.Protocol):
    """One connection; requests come with a content-length."""

    delay_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing read."""
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self.read += data
        while (size := self._request_size()) is not None and len(self.read) >= size:
            self.read = self.read[size:]
            write = self.transport.write  # type: ignore[attr-defined]
            if self.delay_s:
                asyncio.get_running_loop().call_later(self.delay_s, write, ANSWER)
            else:
                write(ANSWER)

    def _request_size(self) -> int | None:
        head, end, _ = self.read.partition(b"\r\n\r\n")
        if not end:
            return None
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        return len(head) + 4 + int(fields.get(b"content-length", 0))


async def main(port: int, delay_s: float) -> None:
    """Serve until ended."""
    Agent.delay_s = delay_s
    server = await asyncio.get_running_loop().create_server(Agent, "127.0.0.1", port, backlog=2000)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
