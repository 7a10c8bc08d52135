"""uvicorn's HTTP protocol with a short way for webhooks: no task, no ASGI events, one write for the whole answer.

A webhook that came whole needs none of them, and they cost more than what is done with it. All else (other paths,
large bodies, requests that wait behind another on their connection) goes uvicorn's own way to the same application.
Written against uvicorn 0.5x: what it leans on is named in tests/unit/test_uvicorn_contract.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from buffer.models import Append, Appended, Event
from gateways.base import Gateway, Headers, Request
from webhook.ingest import Ingest
from webhook.responses import Counts, HeaderPairs, HTTPError, Response, encode_headers, error_response

INGEST = "ingest"
"""Where the application's lifespan leaves its ingest, in the state that uvicorn hands to each connection."""

PREFIX = b"/webhooks/"
BODY_MAX = 65_536
"""Larger bodies come in many pieces: uvicorn's own way holds the sender back meanwhile."""

CHUNKED = -1
"""The size of a body that comes in chunks is not told before."""

URL_MAX = 1024
TARGETS_MAX = 1024
"""Addresses that are kept as they were read: a gateway's are the same few again and again."""


class _NeverWaits:
    """Where uvicorn tells a cycle that its connection is lost: a delivery waits for nothing."""

    def set(self) -> None:
        """Do nothing."""


class WebhookTarget(NamedTuple):
    """The address of a webhook: its gateway, what follows that in the path, and what it is made of."""

    gateway: Gateway
    tail: str
    path: str
    query: Mapping[str, str]
    query_string: str


class _FastRequest:
    """One webhook on the short way: a cycle to uvicorn, a future to the collector."""

    __slots__ = (
        "_protocol",
        "address",
        "appends",
        "disconnected",
        "headers",
        "ingest",
        "keep_alive",
        "response_complete",
    )

    message_event = _NeverWaits()

    def __init__(
        self,
        protocol: FastPathProtocol,
        ingest: Ingest,
        address: WebhookTarget,
        headers: Mapping[bytes, bytes],
        keep_alive: bool,
    ) -> None:
        self._protocol = protocol
        self.ingest = ingest
        self.address = address
        self.headers = headers
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False
        self.appends: list[Append] = []

    def done(self) -> bool:
        """Whether it has been answered."""
        return self.response_complete

    def set_result(self, results: Sequence[Appended]) -> None:
        """The messages are stored; what breaks here must not reach the neighbours, whose turn is next."""
        try:
            self.taken(self.ingest.settle(self.appends, results))
        except Exception as error:
            self.set_exception(error)

    def taken(self, counts: Counts) -> None:
        """Answer with what became of the messages."""
        self._protocol.answer(self, self.ingest.respond(self.address.gateway, counts))

    def set_exception(self, error: Exception) -> None:
        """Answer with an error, which the log tells already."""
        self.ingest.complain(error)
        self._protocol.answer(self, error_response(error, self.address.gateway))


class FastPathProtocol(HttpToolsProtocol):
    """One connection; `http=FastPathProtocol` in uvicorn's configuration."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        plain = not (self.access_log or self.root_path or self.limit_concurrency is not None)
        self._ingest: Ingest | None = app_state.get(INGEST) if plain else None
        self._common: HeaderPairs = ()
        self._common_lines = b""
        self._receiving: _FastRequest | None = None
        self._body = b""
        self._idle_since: float | None = None

    def on_message_begin(self) -> None:
        """Begin with nothing read; uvicorn's scope is made for its own way alone."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Choose the way."""
        self._receiving = delivery = self._delivery()
        if delivery is not None:
            self.cycle = delivery  # type: ignore[assignment]
            self._body = b""
            return
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._receiving is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """The request is whole: take it."""
        delivery, self._receiving = self._receiving, None
        if delivery is None:
            super().on_message_complete()
            return
        try:
            self._take(delivery)
        except Exception as error:
            delivery.set_exception(error)

    def _delivery(self) -> _FastRequest | None:
        """A POST of moderate length to an open gateway, with nothing before it on this connection that waits."""
        ingest = self._ingest
        if (
            ingest is None
            or (self.cycle is not None and not self.cycle.response_complete)
            or len(self.url) > URL_MAX
            or (address := _target_of(ingest, self.url)) is None
            or self.parser.get_method() != b"POST"
            or self.parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or self.parser.should_upgrade()
        ):
            return None
        headers = dict(self.headers)
        size = int(headers.get(b"content-length", CHUNKED))
        if not 0 <= size <= BODY_MAX or size > ingest.body_max:
            return None
        return _FastRequest(self, ingest, address, headers, self.parser.should_keep_alive())

    def _take(self, delivery: _FastRequest) -> None:
        gateway, tail, path, query, query_string = delivery.address
        request = Request(Headers(delivery.headers), query, tail, self._body, path, query_string)
        events = delivery.ingest.read(gateway, request)
        appends = delivery.ingest.pack(events) if events else None
        if appends is None:
            self._start(_act(delivery, events))
        else:
            delivery.appends = appends
            delivery.ingest.submit(appends, delivery)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """As a task that a shutdown waits for."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def answer(self, delivery: _FastRequest, response: Response) -> None:
        """Write an answer whole, once, and let uvicorn go on with the connection."""
        if delivery.response_complete:
            return
        delivery.response_complete = True
        if delivery.disconnected or self.transport.is_closing():
            return
        status, _, lines, body = response
        ending = b"\r\n" if delivery.keep_alive else b"connection: close\r\n\r\n"
        common = self.server_state.default_headers
        if common is not self._common:  # uvicorn makes a new list each second, for the date
            self._common, self._common_lines = common, encode_headers(common)
        self.transport.write(b"".join((STATUS_LINE[status], self._common_lines, lines, ending, body)))
        if not delivery.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """Go on with the connection: with the request that waits, or until it was idle for too long."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_in(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        """Something has come. One timer goes on for all requests: setting one for each costs more than reading it."""
        self._idle_since = None

    def _look_in(self, delay_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(delay_s, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for long enough, else look again when it may be."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None or self.transport.is_closing():
            return
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._look_in(left_s)
        else:
            super().timeout_keep_alive_handler()


async def _act(delivery: _FastRequest, events: Sequence[Event]) -> None:
    """What is not only messages takes several steps."""
    try:
        delivery.taken(await delivery.ingest.take(events))
    except Exception as error:
        delivery.set_exception(error)


@lru_cache(TARGETS_MAX)
def _target_of(ingest: Ingest, url: bytes) -> WebhookTarget | None:
    """The address of an open gateway, written plainly; None for any other."""
    if not url.startswith(PREFIX) or b"%" in url or b"#" in url:
        return None
    path, _, query = url.decode("latin-1").partition("?")
    try:
        gateway, tail = ingest.route(path, "POST")
    except HTTPError:
        return None
    return WebhookTarget(gateway, tail, path, dict(parse_qsl(query)), query)
