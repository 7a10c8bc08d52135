"""uvicorn's HTTP protocol with a short way for webhooks: no task, no ASGI events, one write for the whole answer.

A webhook that came whole needs none of them, and they cost more than what is done with it. All else (other paths,
large bodies, requests that wait behind another on their connection) goes uvicorn's own way to the same application.
Written against uvicorn 0.5x: what it leans on is named in tests/unit/test_uvicorn_contract.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from buffer.models import Append, Appended, Event
from gateways.base import Gateway, Request
from webhook.answers import Counts, Headers, Refused, Response, refusal
from webhook.ingest import Ingest

INGEST = "ingest"
"""Where the application's lifespan leaves its ingest, in the state that uvicorn hands to each connection."""

PREFIX = b"/webhooks/"
BODY_MAX = 65_536
"""Larger bodies come in many pieces: uvicorn's own way holds the sender back meanwhile."""


class _NoEvent:
    """Where uvicorn tells a cycle that its connection is lost: a delivery waits for nothing."""

    def set(self) -> None:
        """Do nothing."""


class Address(NamedTuple):
    """The address of a request: path, query, and what follows the gateway in the path."""

    path: str
    query: str
    tail: str


class _Delivery:
    """One webhook on the short way: a cycle to uvicorn, a future to the collector."""

    __slots__ = (
        "_protocol",
        "address",
        "appends",
        "disconnected",
        "gateway",
        "ingest",
        "keep_alive",
        "response_complete",
    )

    message_event = _NoEvent()

    def __init__(
        self, protocol: WebhookProtocol, ingest: Ingest, gateway: Gateway, address: Address, keep_alive: bool
    ) -> None:
        self._protocol = protocol
        self.ingest = ingest
        self.gateway = gateway
        self.address = address
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
        self._protocol.answer(self, self.ingest.respond(self.gateway, counts))

    def set_exception(self, error: Exception) -> None:
        """Answer with an error."""
        self.ingest.complain(error)
        self._protocol.answer(self, refusal(error, self.gateway))


class WebhookProtocol(HttpToolsProtocol):
    """One connection; `http=WebhookProtocol` in uvicorn's configuration."""

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
        self._receiving: _Delivery | None = None
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

    def _delivery(self) -> _Delivery | None:
        """A POST of moderate length to an open gateway, with nothing before it on this connection that waits."""
        ingest = self._ingest
        if (
            ingest is None
            or not self.url.startswith(PREFIX)
            or (self.cycle is not None and not self.cycle.response_complete)
            or self.parser.get_method() != b"POST"
            or self.parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or self.parser.should_upgrade()
            or b"%" in self.url
            or b"#" in self.url
            or not 0 <= self._declared_size() <= min(BODY_MAX, ingest.body_max)
        ):
            return None
        path, _, query = self.url.decode("latin-1").partition("?")
        try:
            gateway, tail = ingest.route(path, "POST")
        except Refused:
            return None
        return _Delivery(self, ingest, gateway, Address(path, query, tail), self.parser.should_keep_alive())

    def _declared_size(self) -> int:
        """Of a body that comes with its length; -1 for one in chunks, which may have any."""
        for name, value in self.headers:
            if name == b"content-length":
                return int(value)
        return -1

    def _take(self, delivery: _Delivery) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}
        path, query, tail = delivery.address
        request = Request(headers, dict(parse_qsl(query)) if query else {}, tail, self._body, path, query)
        events = delivery.ingest.read(delivery.gateway, request)
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

    def answer(self, delivery: _Delivery, response: Response) -> None:
        """Write an answer whole, once, and let uvicorn go on with the connection."""
        if delivery.response_complete:
            return
        delivery.response_complete = True
        if delivery.disconnected or self.transport.is_closing():
            return
        ending = b"\r\n" if delivery.keep_alive else b"connection: close\r\n\r\n"
        lines = _lines(tuple(self.server_state.default_headers)), _lines(response.headers)
        self.transport.write(b"".join((STATUS_LINE[response.status], *lines, ending, response.body)))
        if not delivery.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def data_received(self, data: bytes) -> None:
        """Read what has come; the connection is not idle."""
        self._idle_since = None
        super().data_received(data)

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
        """One timer goes on for all requests of a connection: setting one for each costs more than reading it."""

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


async def _act(delivery: _Delivery, events: Sequence[Event]) -> None:
    """What is not only messages takes several steps."""
    try:
        delivery.taken(await delivery.ingest.take(events))
    except Exception as error:
        delivery.set_exception(error)


@lru_cache(64)
def _lines(headers: Headers) -> bytes:
    """Headers as they are written; the same few again and again."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])
