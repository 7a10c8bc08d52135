"""A minimal Evolution API: it answers each POST at once with an id of its own, and counts what it was asked.

`GET /counts` returns the numbers of messages and of typing indicators.
"""

from __future__ import annotations

import asyncio
import sys

import orjson
import uvloop

from benchmarks.programs.http_requests import HTTPRequests, json_response

MESSAGE, TYPING = b"POST /message/", b"POST /chat/sendPresence/"


class Gateway(HTTPRequests):
    """One connection."""

    messages = typings = 0

    def process(self, request: bytes, body_at: int, now_s: float) -> None:
        """Count a request and answer it."""
        status, content = _answer(request)
        self.write(json_response(status, orjson.dumps(content)))


def _answer(request: bytes) -> tuple[bytes, object]:
    if request.startswith(MESSAGE):
        Gateway.messages += 1
        return b"201 Created", {"key": {"id": f"3EB0{Gateway.messages:018X}", "fromMe": True}, "status": "PENDING"}
    if request.startswith(TYPING):
        Gateway.typings += 1
        return b"201 Created", {"presence": "composing"}
    return b"200 OK", {"messages": Gateway.messages, "typings": Gateway.typings}


async def main(port: int) -> None:
    """Serve until the process is stopped."""
    server = await asyncio.get_running_loop().create_server(Gateway, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
