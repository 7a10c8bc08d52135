"""What clients may take of a process before they are authenticated: time, memory and connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.types import Receive

from webhook.responses import Busy, HTTPError

LIMITS = "limits"
"""Key of the ConnectionLimits in the lifespan state, which uvicorn passes to each connection."""

HEAD_MAX = 65_536
"""Bytes of a head beyond the packet in which it begins, and of trailers or chunk extensions. A larger one gets 431."""

SMALL_BODY_MAX = 65_536
"""Bytes of a body that may use the whole budget. The last quarter is closed to larger bodies, so that a few of them
never shut out the many small ones."""

BODY_STEP = 1_048_576
"""Bytes of a body that must arrive within WEBHOOK_BODY_TIMEOUT, unless the body ends before: 35 KB/s by default."""


class Disconnected(Exception):
    """The client closed its connection before its body was complete."""


class ConnectionLimits(NamedTuple):
    """The limits of each connection. The defaults hold if another application runs in front of ours."""

    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    connections_max: int = 1_000_000
    on_refusal: Callable[[HTTPError], None] = lambda error: None


class BodyBudget:
    """The bytes of all request bodies that this process holds."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._large_limit = limit * 3 // 4
        self.held = 0

    def take(self, size: int, body_size: int) -> None:
        """Reserve `size` bytes of a body that has `body_size` bytes in all. Raises Busy if the budget is used up."""
        if self.held + size > (self._limit if body_size <= SMALL_BODY_MAX else self._large_limit):
            raise Busy
        self.held += size

    def give_back(self, size: int) -> None:
        """Free the reserved bytes."""
        self.held -= size


class BodyReader:
    """Reads one body from ASGI events, within the limits of size, time and memory. Close it after the response.

    The body is kept in one buffer: a list of pieces takes forty times its bytes if a client sends two at a time.
    """

    def __init__(self, budget: BodyBudget, body_max: int, timeout_s: float) -> None:
        self._budget = budget
        self._body_max = body_max
        self._timeout_s = timeout_s
        self._reserved = 0
        self._body = bytearray()

    def reserve(self, size: int) -> None:
        """Reserve the memory of a body of this size. Raises HTTPError (413) or Busy."""
        check_size(size, self._body_max)
        if size > self._reserved:
            self._budget.take(size - self._reserved, size)
            self._reserved = size

    async def read(self, receive: Receive) -> bytes:
        """Return the body. Raises HTTPError (408, 413), Busy or Disconnected."""
        is_complete = False
        while not is_complete:
            try:
                async with asyncio.timeout(self._timeout_s):
                    is_complete = await self._read_step(receive)
            except TimeoutError:
                raise body_timed_out(self._timeout_s) from None
        body = bytes(self._body)
        self._body.clear()
        return body

    def close(self) -> None:
        """Give the reserved memory back."""
        self._body.clear()
        self._budget.give_back(self._reserved)
        self._reserved = 0

    async def _read_step(self, receive: Receive) -> bool:
        """Read up to BODY_STEP bytes, and return True if the body is complete."""
        end = len(self._body) + BODY_STEP
        while len(self._body) < end:
            event: Any = await receive()
            if event["type"] == "http.disconnect":
                raise Disconnected
            piece = event.get("body", b"")
            self.reserve(len(self._body) + len(piece))
            self._body += piece
            if not event.get("more_body"):
                return True
        return False


def check_size(size: int, body_max: int) -> None:
    """Raise HTTPError (413) if a body has more bytes than WEBHOOK_MAX_BODY."""
    if size > body_max:
        raise HTTPError(413, "too_large", f"the body is larger than WEBHOOK_MAX_BODY={body_max} bytes")


def body_timed_out(timeout_s: float) -> HTTPError:
    """Return the error of a body that did not arrive in time."""
    detail = f"the body did not arrive within WEBHOOK_BODY_TIMEOUT={timeout_s:g} s; send the same again"
    return HTTPError(408, "timeout", detail, [(b"connection", b"close")])
