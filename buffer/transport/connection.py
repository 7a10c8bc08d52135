"""One connection to a server: each command goes out at once, each reply goes to whoever is first in the queue.

redis-py sets the connection up (address, TLS, password, Sentinel) and hands it over: its way for each single command
costs the webhook more than all that is done with a message. hiredis packs and parses.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import hiredis
import redis.exceptions as rx
from redis.asyncio.connection import AbstractConnection

from buffer.errors import store_error

INCOMPLETE = object()
"""What the parser says when a reply is not complete."""

R = TypeVar("R", contravariant=True)


class ReplyReceiver(Protocol[R]):
    """Who hears the reply to a command, once: a future, or whoever does without one."""

    def done(self) -> bool:
        """Whether nobody wants to hear it any more."""

    def set_result(self, result: R, /) -> None:
        """What the server answered."""

    def set_exception(self, exception: Exception, /) -> None:
        """The server's error (rx.ResponseError), or why there is no answer (StoreUnavailable)."""


class PipelinedConnection(asyncio.Protocol):
    """A connection that redis-py has opened; whoever waits hears the reply, the server's error, or StoreUnavailable.

    Nobody waits longer than `timeout_s`. `lost` is called once, when no more commands can be sent.
    """

    def __init__(self, connection: AbstractConnection, timeout_s: float, lost: Callable[[], None]) -> None:
        self._writer = _detach_writer(connection)
        self._timeout_s = timeout_s
        self._lost: Callable[[], None] | None = lost
        self._transport: asyncio.WriteTransport = self._writer.transport
        self._streams = self._transport.get_protocol()
        self._loop = asyncio.get_running_loop()
        self._parser = hiredis.Reader(
            protocolError=rx.InvalidResponse, replyError=rx.ResponseError, notEnoughData=INCOMPLETE
        )
        self._waiting: deque[tuple[ReplyReceiver[Any], float]] = deque()
        self._looking = False
        self._transport.set_protocol(self)

    def send(self, command: bytes, reply: ReplyReceiver[Any]) -> None:
        """Write a packed command; what the server answers becomes the result or the exception of `reply`."""
        self._transport.write(command)
        self._waiting.append((reply, self._loop.time() + self._timeout_s))
        if not self._looking:
            self._looking = True
            self._loop.call_later(self._timeout_s, self._check_timeout)

    def data_received(self, data: bytes) -> None:
        """Hand out the replies that are complete."""
        self._parser.feed(data)
        try:
            while (answer := self._parser.gets()) is not INCOMPLETE:
                if not isinstance(answer, hiredis.PushNotification):
                    self._hand_out(answer)
        except rx.InvalidResponse as error:
            self.abort(error)

    def _hand_out(self, answer: Any) -> None:
        reply, _ = self._waiting.popleft()
        if reply.done():
            return
        if isinstance(answer, Exception):
            reply.set_exception(answer)
        else:
            reply.set_result(answer)

    def _check_timeout(self) -> None:
        """One timer for all commands: they are answered in order, so the first one is the latest."""
        self._looking = bool(self._waiting)
        if not self._waiting:
            return
        left_s = self._waiting[0][1] - self._loop.time()
        if left_s > 0:
            self._loop.call_later(left_s, self._check_timeout)
        else:
            self.abort(rx.TimeoutError(f"no answer within {self._timeout_s:g} s"))

    def abort(self, error: Exception) -> None:
        """Give the connection up: nobody can tell any more which reply is whose."""
        lost, self._lost = self._lost, None
        if lost is not None:
            lost()
        self._transport.abort()
        while self._waiting:
            reply, _ = self._waiting.popleft()
            if not reply.done():
                reply.set_exception(store_error(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """The server or the network has closed it."""
        self._streams.connection_lost(exc)
        self.abort(rx.ConnectionError(str(exc) if exc else "the server closed the connection"))

    def pause_writing(self) -> None:
        """Nothing to do: who may wait for Redis, and for how long, is bounded by those who ask."""

    def resume_writing(self) -> None:
        """Nothing to do."""


def _detach_writer(connection: AbstractConnection) -> asyncio.StreamWriter:
    """redis-py would read from it and close it, so it keeps nothing (tests/unit/test_redis_contract.py)."""
    writer = cast(asyncio.StreamWriter, connection._writer)
    connection._writer = connection._reader = None
    return writer
