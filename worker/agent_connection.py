"""The connections to the agent: aiohttp's, with a bound on what an agent may send and a close that waits for nobody."""

from __future__ import annotations

import asyncio
import functools
import ssl
from contextvars import ContextVar
from typing import Any, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

CONNECT_TIMEOUT_S = 5.0
"""How long the agent may take to accept a connection. The whole call has another limit, AGENT_TIMEOUT."""

KEEPALIVE_S = 30.0
"""How long an idle connection to the agent stays open."""

ANSWER_MAX = 1_048_576
"""Largest answer that is read, in bytes. An answer is a chat message."""

HEAD_MAX = 65_536
"""Bytes up to the end of an answer's head, interim answers (1xx) included."""

WIRE_MAX = 2 * ANSWER_MAX + HEAD_MAX
"""Bytes after the head, with what the chunked encoding adds."""

STREAM_WIRE_MAX = 64 * ANSWER_MAX
"""Bytes of a stream after the head. Most of its events are not kept."""

connected: ContextVar[bool] = ContextVar("connected", default=False)
"""True in the task of a call from the moment that it has a connection. Before that the agent cannot have read it."""


class AnswerTooLong(aiohttp.ClientPayloadError):
    """The agent sent more bytes after the head of its answer than any answer needs."""


class Connection(ResponseHandler):
    """One connection. It is closed as soon as the agent sends more than `_room` bytes.

    aiohttp bounds a line and the number of headers, but not interim answers, chunk extensions, or what arrives while
    no call is waiting: that would be taken for the answer to the next call.
    """

    wire_max = WIRE_MAX

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._room = 0
        self._answer: StreamReader | None = None

    def set_response_params(self, **params: Any) -> None:
        """Begin to wait for the answer to a call."""
        connected.set(True)
        self._room = HEAD_MAX
        self._answer = None
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes that arrived. aiohttp parses all of them at once, so it gets no more than fit."""
        if self._answer is not None and self._answer.is_eof():
            self._room = 0
        while len(data) > self._room:
            if not self._room:
                self._refuse()
                return
            part, data = data[: self._room], data[self._room :]
            self._room = 0
            super().data_received(part)
        self._room -= len(data)
        super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take the head of an answer. The last one makes room for its body."""
        if data[0].code >= 200:
            self._room = self.wire_max
            self._answer = data[1]
        super().feed_data(data, size)

    def close(self) -> None:
        """Close at once. A close that first sends the remaining bytes would last as long as the agent reads nothing."""
        self.abort()

    def _refuse(self) -> None:
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(AnswerTooLong("the agent's answer is too long"))
        self.set_exception(HttpProcessingError(message=f"it begins with more than {HEAD_MAX} bytes of headers"))
        if self.transport is not None:
            self.transport.abort()


class StreamConnection(Connection):
    """A connection whose answers may be streams."""

    wire_max = STREAM_WIRE_MAX


class Pool(NamedTuple):
    """The bounds of a pool of connections. `per_host` 0 is no limit for one host."""

    connections: int
    per_host: int = 0
    keepalive_s: float = KEEPALIVE_S


def open_session(
    headers: dict[str, str], pool: Pool, context: ssl.SSLContext, connection: type[Connection] = Connection
) -> aiohttp.ClientSession:
    """Open a pool of connections. Every request carries `headers`. No cookie is kept or sent."""
    connector = aiohttp.TCPConnector(
        limit=pool.connections, limit_per_host=pool.per_host, keepalive_timeout=pool.keepalive_s, ssl=context
    )
    connector._factory = functools.partial(connection, loop=asyncio.get_running_loop())  # type: ignore[assignment]
    return aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S),
        auto_decompress=False,
    )
