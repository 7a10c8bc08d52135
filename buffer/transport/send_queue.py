"""Calls that wait to be sent, and the tasks that send them: used by the autopipeline and the coalescer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

from buffer.errors import store_error

T = TypeVar("T")


class SendQueue(Generic[T]):
    """Collects calls while earlier ones are under way, and sends them in lists of at most `calls_max`.

    At most `senders_max` lists are under way at once.
    """

    def __init__(self, send: Callable[[list[T]], Awaitable[None]], *, calls_max: int, senders_max: int) -> None:
        self._send = send
        self._calls_max = calls_max
        self._senders_max = senders_max
        self._calls: list[T] = []
        self._sending = 0
        self._senders: set[asyncio.Task[None]] = set()

    def add(self, call: T) -> None:
        """Add a call. It is sent after this loop iteration if a sender is free, otherwise after a list under way."""
        self._calls.append(call)
        if self._sending < self._senders_max:
            self._sending += 1
            sender = asyncio.create_task(self._send_all())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)

    async def _send_all(self) -> None:
        try:
            while self._calls:
                calls, self._calls = self._calls[: self._calls_max], self._calls[self._calls_max :]
                await self._send(calls)
        finally:
            # Here and not in a done callback, which runs an iteration later: until then `add` would start no sender.
            self._sending -= 1


def fail_all(replies: Iterable[asyncio.Future[Any]], error: Exception) -> None:
    """Fail the replies that are still awaited, with the StoreError for `error`."""
    for reply in replies:
        if not reply.done():
            reply.set_exception(store_error(error))
