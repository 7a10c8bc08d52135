"""Makes the HTTP requests to gateways, and says what became of a request that got no response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import aiohttp
import httpx

from gateways.sending import InDoubt, Later, Misconfigured, SendRequest, SendResponse
from worker import agent_errors
from worker.agent import ssl_context
from worker.agent_answer import Damaged, Unreadable, content_of, redirect_target
from worker.agent_connection import Connection, Pool, open_session
from worker.tracing import trace_headers

WHO = "the gateway"

KEEPALIVE_S = 4.0
"""How long an idle connection to a gateway stays open.

Node.js closes one after 5 s. A request that meets this close is in doubt, so the worker closes first.
"""

HEADERS = {"user-agent": "debouncer", "accept": "*/*", "accept-encoding": "identity"}

Response = aiohttp.ClientResponse

Unsent = Later | Misconfigured | InDoubt
"""What a request without a response means for the part."""

ERRORS = (Unreadable, Damaged, TimeoutError, aiohttp.ClientError, OSError, UnicodeError)


TRIES = 3
"""Connections that one request takes from the pool, if the gateway closed the ones before without a word."""

STALE = Later(f"the connection to {WHO} was closed before the request")
"""The result of a try whose connection was closed before the first byte."""

TOO_LATE = Later("the lease was over before the request had left", after_s=0.0)


class Limits(NamedTuple):
    """The pool of connections, and the timeouts of one request in seconds.

    `wait_s` is for a free connection, `connect_s` for TCP and TLS, `write_s` for the body, `read_s` for the response.
    """

    connections: int = 200
    per_host: int = 50
    wait_s: float = 10.0
    connect_s: float = 5.0
    write_s: float = 10.0
    read_s: float = 30.0

    @property
    def total_s(self) -> float:
        """Return the longest time of a whole request."""
        return self.wait_s + self.write_s + self.read_s

    def timeout(self) -> aiohttp.ClientTimeout:
        """Return the timeouts in the form of aiohttp. Its `connect` is for everything before the write."""
        return aiohttp.ClientTimeout(connect=self.wait_s, sock_connect=self.connect_s, sock_read=self.read_s)


def _always() -> bool:
    return True


@dataclass(slots=True)
class Departure:
    """Whether a request may leave, and whether a byte of it has left."""

    may_leave: Callable[[], bool] = _always
    has_connection: bool = False
    has_left: bool = False


_departure: ContextVar[Departure] = ContextVar("departure")
"""The departure of the request that a task makes."""


class WatchedTransport:
    """A transport that notes the first byte of a request, and closes instead if it may not leave any more."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.departure = Departure()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write, or close."""
        if self._leaves():
            self._transport.write(data)

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write, or close."""
        if self._leaves():
            self._transport.writelines(parts)

    def _leaves(self) -> bool:
        if not self.departure.has_left and not self.departure.may_leave():
            self._transport.abort()
            return False
        self.departure.has_left = True
        return True


class ReplyConnection(Connection):
    """A connection that watches its transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to watch."""
        super().connection_made(cast(asyncio.Transport, WatchedTransport(cast(asyncio.Transport, transport))))

    def set_response_params(self, **params: Any) -> None:
        """Begin a request."""
        departure = _departure.get()
        departure.has_connection = True
        if isinstance(self.transport, WatchedTransport):
            self.transport.departure = departure
        super().set_response_params(**params)


def forget_request() -> None:
    """Begin a request of this task: it has not left."""
    _departure.set(Departure())


def cut_short() -> Later | InDoubt:
    """Return what became of a request of this task that was cancelled."""
    if _departure.get().has_left:
        return InDoubt("the worker stopped before the gateway had answered")
    return Later("the worker stopped before the request had left", after_s=0.0)


class ReplyClient:
    """Sends requests through one pool of connections, bounded in all and for each host."""

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008
        self._limits = limits
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def send(self, request: SendRequest, may_leave: Callable[[], bool] = _always) -> SendResponse | Unsent:
        """Make one request. Return its response, or what its failure means: no error of the network is raised.

        Redirects are not followed, because the body and perhaps the address hold what only the gateway may read.
        `may_leave` is asked before the first byte. If it says no, nothing is sent.
        """
        try:
            url = httpx.URL(request.url)
        except httpx.InvalidURL:
            return Misconfigured(f"{WHO}'s address is not valid")
        result: SendResponse | Unsent = STALE
        for _ in range(TRIES):
            if result is STALE:
                _departure.set(Departure(may_leave))
                result = await self._try(request, url)
        return result

    async def _try(self, request: SendRequest, url: httpx.URL) -> SendResponse | Unsent:
        response: Response | None = None
        try:
            async with asyncio.timeout(self._limits.total_s):
                response = await self._session(url).request(
                    request.method,
                    str(url),
                    data=request.body,
                    headers={**request.headers, **trace_headers()},
                    allow_redirects=False,
                    timeout=self._limits.timeout(),
                )
                return _read(response, await content_of(response), url)
        except ERRORS as error:
            return self._failed(error, response, url)

    async def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _session(self, url: httpx.URL) -> aiohttp.ClientSession:
        """Return the pool for http or https. The certificates are loaded at the first https request."""
        if url.scheme not in self._sessions:
            pool = Pool(self._limits.connections, self._limits.per_host, KEEPALIVE_S)
            self._sessions[url.scheme] = open_session(HEADERS, pool, ssl_context(url), ReplyConnection)
        return self._sessions[url.scheme]

    def _failed(self, error: Exception, response: Response | None, url: httpx.URL) -> SendResponse | Unsent:
        """Return the meaning of an error. The status of an error response says enough without its body."""
        try:
            if response is not None and not 200 <= response.status < 300:
                return _read(response, b"", url)
            if _departure.get().has_left:
                return InDoubt(self._doubt(error))
            return self._unsent(error, url)
        finally:
            agent_errors.drop_tracebacks(error)

    def _unsent(self, error: Exception, url: httpx.URL) -> Later:
        departure = _departure.get()
        if not departure.has_connection:
            reason = agent_errors.not_reached(error, url, self._limits.connect_s, WHO, "its address")
            return Later(reason, whole_channel=True)
        return STALE if departure.may_leave() else TOO_LATE

    def _doubt(self, error: Exception) -> str:
        if isinstance(error, Unreadable):
            return f"{WHO} answered with {error}"
        if isinstance(error, Damaged):
            return f"{WHO}'s answer broke: {error}"
        if isinstance(error, TimeoutError):
            return f"{WHO} did not answer within {self._limits.read_s:g} s"
        return agent_errors.broken(error, WHO)


def _read(response: Response, body: bytes, url: httpx.URL) -> SendResponse | Unsent:
    if 300 <= response.status < 400:
        return Misconfigured(f"{WHO}'s address redirects{redirect_target(response, url)}, which is not followed")
    return SendResponse(response.status, {name.lower(): value for name, value in response.headers.items()}, body)
