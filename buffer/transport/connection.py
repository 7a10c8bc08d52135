"""One connection to a Redis server: commands are written at once, and replies are matched to them by their order.

redis-py opens the connection (address, TLS, password, Sentinel), then `_detach_writer` takes its private StreamWriter:
redis-py's own path for each command costs the webhook more than all its other work on a message. hiredis packs and
parses. buffer/transport/autopipeline.py is the alternative that uses only public parts of redis-py.
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
"""The parser returns it while a reply is incomplete."""

R = TypeVar("R", contravariant=True)


class ReplyReceiver(Protocol[R]):
    """Receives one reply. `asyncio.Future` fits; the hot path uses lighter objects."""

    def done(self) -> bool:
        """Return True if the reply is no longer awaited."""

    def set_result(self, result: R, /) -> None:
        """Receive the server's reply."""

    def set_exception(self, exception: Exception, /) -> None:
        """Receive the server's error (rx.ResponseError), or a StoreUnavailable if there is no reply."""


class PipelinedConnection(asyncio.Protocol):
    """A connection that redis-py has opened. Each command gets its reply, the server's error, or StoreUnavailable.

    A reply is awaited for `timeout_s`. `on_lost` is called once, when the connection takes no more commands.
    """

    def __init__(self, connection: AbstractConnection, timeout_s: float, on_lost: Callable[[], None]) -> None:
        self._writer = _detach_writer(connection)
        self._timeout_s = timeout_s
        self._on_lost: Callable[[], None] | None = on_lost
        self._transport: asyncio.WriteTransport = self._writer.transport
        self._streams = self._transport.get_protocol()
        self._loop = asyncio.get_running_loop()
        self._parser = hiredis.Reader(
            protocolError=rx.InvalidResponse, replyError=rx.ResponseError, notEnoughData=INCOMPLETE
        )
        self._awaited: deque[tuple[ReplyReceiver[Any], float]] = deque()
        self._timeout_timer: asyncio.TimerHandle | None = None
        self._transport.set_protocol(self)

    def send(self, command: bytes, receiver: ReplyReceiver[Any]) -> None:
        """Write a packed command. `receiver` gets the reply."""
        self._transport.write(command)
        self._awaited.append((receiver, self._loop.time() + self._timeout_s))
        if self._timeout_timer is None:
            self._timeout_timer = self._loop.call_later(self._timeout_s, self._check_timeout)

    def data_received(self, data: bytes) -> None:
        """Pass on the replies that are complete."""
        self._parser.feed(data)
        try:
            while (reply := self._parser.gets()) is not INCOMPLETE:
                if not isinstance(reply, hiredis.PushNotification):
                    self._pass_on(reply)
        except rx.InvalidResponse as error:
            self.abort(error)

    def _pass_on(self, reply: Any) -> None:
        receiver, _ = self._awaited.popleft()
        if receiver.done():
            return
        if isinstance(reply, Exception):
            receiver.set_exception(reply)
        else:
            receiver.set_result(reply)

    def _check_timeout(self) -> None:
        """Abort if the oldest command is late. One timer serves all commands, because replies arrive in their order."""
        self._timeout_timer = None
        if not self._awaited:
            return
        left_s = self._awaited[0][1] - self._loop.time()
        if left_s > 0:
            self._timeout_timer = self._loop.call_later(left_s, self._check_timeout)
        else:
            self.abort(rx.TimeoutError(f"no answer within {self._timeout_s:g} s"))

    def abort(self, error: Exception) -> None:
        """Close the connection and fail all pending replies. After an error no reply can be matched to its command."""
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost()
        self._transport.abort()
        while self._awaited:
            receiver, _ = self._awaited.popleft()
            if not receiver.done():
                receiver.set_exception(store_error(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail all pending replies: the server or the network closed the connection."""
        self._streams.connection_lost(exc)
        self.abort(rx.ConnectionError(str(exc) if exc else "the server closed the connection"))

    def pause_writing(self) -> None:
        """Do nothing: the callers bound the number of commands under way, and the timeout bounds their wait."""

    def resume_writing(self) -> None:
        """Do nothing."""


def _detach_writer(connection: AbstractConnection) -> asyncio.StreamWriter:
    """Take the writer from redis-py's connection, which would else read from it and close it.

    tests/unit/test_redis_contract.py fails if a redis-py release changes these private attributes.
    """
    writer = cast(asyncio.StreamWriter, connection._writer)
    connection._writer = connection._reader = None
    return writer
