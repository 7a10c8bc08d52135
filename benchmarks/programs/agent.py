"""A minimal agent: it answers each POST after an optional delay, and records the moment of each call.

The answer is 204, or one reply if the program is started with a text.

`GET /calls` returns the number of calls, `GET /report` all records, and `GET /reset` deletes them. Lateness is the
moment at which the request is read, minus its deadline `closed_ms`. Both come from the clock of this machine.
"""

from __future__ import annotations

import asyncio
import sys

import orjson
import uvloop

from benchmarks.programs.http_requests import HTTPRequests, json_response

NO_REPLY = b"HTTP/1.1 204 No Content\r\n\r\n"
DEADLINE = b'"closed_ms":'
FLUSH_ID = b'"flush_id":"'


class CallRecord:
    """The calls since the last reset."""

    def __init__(self) -> None:
        self.calls = self.in_flight = self.peak = 0
        self.first_s = self.last_s = 0.0
        self.lateness_ms: list[float] = []
        self.flush_ids: set[bytes] = set()

    def add(self, body: bytes, now_s: float) -> None:
        """Record one call. It must be cheap, so that the agent does not slow the measurement."""
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
        """Return the report."""
        numbers = {"calls": self.calls, "distinct": len(self.flush_ids), "peak": self.peak, "in_flight": self.in_flight}
        return orjson.dumps(numbers | {"first_s": self.first_s, "last_s": self.last_s, "lateness_ms": self.lateness_ms})


class Agent(HTTPRequests):
    """One connection."""

    delay_s = 0.0
    record = CallRecord()
    answer = NO_REPLY

    def process(self, request: bytes, body_at: int, now_s: float) -> None:
        """Record a call and answer it, or tell what is recorded."""
        if request.startswith(b"GET "):
            self.write(_get_response(request))
            return
        Agent.record.add(request[body_at:], now_s)
        if self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s, self._answer, Agent.record)
        else:
            self._answer(Agent.record)

    def _answer(self, record: CallRecord) -> None:
        record.in_flight -= 1
        self.write(Agent.answer)


def _get_response(request: bytes) -> bytes:
    if request.startswith(b"GET /reset"):
        Agent.record = CallRecord()
    body = b"%d" % Agent.record.calls if request.startswith(b"GET /calls") else Agent.record.as_json()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def main(port: int, delay_s: float, text: str) -> None:
    """Serve until the process is stopped."""
    Agent.delay_s = delay_s
    if text:
        Agent.answer = json_response(b"200 OK", orjson.dumps({"reply": text}))
    server = await asyncio.get_running_loop().create_server(Agent, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))
