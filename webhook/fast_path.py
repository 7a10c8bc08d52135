"""uvicorn's HTTP protocol with a fast path for webhooks: no task, no ASGI events, and one write for the response.

The task and the events of ASGI cost more than the work on a message. Requests that need them take uvicorn's own path to
the same application: other paths, large bodies, and requests that wait behind another on their connection.

Written for uvicorn 0.5x. tests/unit/test_uvicorn_contract.py names every part of uvicorn that this file relies on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from gateways.base import Gateway, Headers, Request
from webhook.connection import BODY, CLOSE, HEAD, NOTHING, LimitedProtocol
from webhook.ingest import Ingest
from webhook.limits import body_timed_out
from webhook.responses import Busy, HeaderPairs, HTTPError, Response, encode_headers

INGEST = "ingest"
"""Key of the application's Ingest in the lifespan state, which uvicorn passes to each connection."""

PREFIX = b"/webhooks/"

BODY_MAX = 65_536
"""Bytes of a body on the fast path. A larger body comes in many pieces, and uvicorn's own path can pause its sender."""

CHUNKED = -1
"""Stands for the unknown size of a chunked body."""

URL_MAX = 1024
"""Bytes of a URL on the fast path."""

TARGETS_MAX = 1024
"""Parsed URLs that are cached. A gateway sends to the same few URLs."""


class _NeverWaits:
    """The `message_event` of a fast request. uvicorn sets it when a connection is lost, and no code waits for it."""

    def set(self) -> None:
        """Do nothing."""


class WebhookTarget(NamedTuple):
    """A parsed webhook URL: its gateway, the path after the gateway, the path, and the query parsed and raw."""

    gateway: Gateway
    tail: str
    path: str
    query: Mapping[str, str]
    query_string: str


class _FastRequest:
    """One request on the fast path. uvicorn keeps it as its `cycle` and reads and sets the attributes of a cycle."""

    __slots__ = ("disconnected", "headers", "ingest", "keep_alive", "response_complete", "target")

    message_event = _NeverWaits()

    def __init__(self, ingest: Ingest, target: WebhookTarget, headers: Mapping[bytes, bytes], keep_alive: bool) -> None:
        self.ingest = ingest
        self.target = target
        self.headers = headers
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False


class FastPathProtocol(LimitedProtocol):
    """One connection. Set it with `http=FastPathProtocol` in uvicorn's configuration."""

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
        self._default_headers: HeaderPairs = ()
        self._default_header_lines = b""
        self._receiving: _FastRequest | None = None
        self._body = b""
        self._reserved = 0

    def on_message_begin(self) -> None:
        """Start to read a request. The scope of uvicorn's own path is made later, only if it is needed."""
        self._part = HEAD
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Choose the fast path or uvicorn's own."""
        self._receiving = fast_request = self._make_fast_request()
        if fast_request is not None:
            self.cycle = fast_request  # type: ignore[assignment]
            self._part = BODY
            self._deadline_s = None
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
        """Process the request, which is complete now."""
        fast_request, self._receiving = self._receiving, None
        if fast_request is None:
            super().on_message_complete()
        else:
            self._part = NOTHING
            if self._reserved:  # the body was late
                self._deadline_s = None
                self._give_back()
            self._process(fast_request)

    def on_body_late(self) -> None:
        """Refuse a request whose head shows that it is not authentic, and reserve the memory of all others."""
        fast_request = self._receiving
        if fast_request is None:
            return
        ingest, size = fast_request.ingest, int(fast_request.headers[b"content-length"])
        gateway, tail, path, query, query_string = fast_request.target
        try:
            ingest.check_head(gateway, Request(Headers(fast_request.headers), query, tail, b"", path, query_string))
            ingest.budget.take(size, size)
            self._reserved = size
        except (HTTPError, Busy) as error:
            self._end_early(fast_request, error)

    def on_body_timeout(self) -> None:
        """Refuse a request whose body did not arrive in time."""
        if self._receiving is None:
            super().on_body_timeout()
        else:
            self._end_early(self._receiving, body_timed_out(self._limits.body_timeout_s))
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the memory and the budget of the connection."""
        self._give_back()
        self._body = b""
        super().connection_lost(exc)

    def _end_early(self, fast_request: _FastRequest, error: HTTPError | Busy) -> None:
        """Respond before the body is complete. uvicorn drops the rest of it."""
        self._receiving, self._body = None, b""
        self._give_back()
        self._write_response(fast_request, fast_request.ingest.refuse(fast_request.target.gateway, error))

    def _give_back(self) -> None:
        if self._ingest is not None:
            self._ingest.budget.give_back(self._reserved)
            self._reserved = 0

    def _make_fast_request(self) -> _FastRequest | None:
        """Return a fast request, or None for uvicorn's own path.

        The fast path takes a POST to an open gateway, with a body of known and moderate size, if no earlier request of
        this connection still waits for its response.
        """
        ingest = self._ingest
        if (
            ingest is None
            or (self.cycle is not None and not self.cycle.response_complete)
            or len(self.url) > URL_MAX
            or (target := _target_of(ingest, self.url)) is None
            or self.parser.get_method() != b"POST"
            or self.parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or self.parser.should_upgrade()
        ):
            return None
        headers = dict(self.headers)
        if len(headers) != len(self.headers) or b"host" not in headers:  # one may be doubled that must not be
            return None
        size = int(headers.get(b"content-length", CHUNKED))
        if not 0 <= size <= BODY_MAX or size > ingest.body_max:
            return None
        return _FastRequest(ingest, target, headers, self.parser.should_keep_alive())

    def _process(self, fast_request: _FastRequest) -> None:
        gateway, tail, path, query, query_string = fast_request.target
        request = Request(Headers(fast_request.headers), query, tail, self._body, path, query_string)
        remaining = fast_request.ingest.handle(gateway, request, partial(self._write_response, fast_request))
        if remaining is not None:
            self._start(remaining)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as one of uvicorn's tasks, for which a shutdown waits."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _write_response(self, fast_request: _FastRequest, response: Response) -> None:
        """Write a response in one call, then let uvicorn continue with the connection."""
        fast_request.response_complete = True
        if fast_request.disconnected or self.transport.is_closing():
            return
        status, _, header_lines, body = response
        end = b"\r\n" if fast_request.keep_alive else CLOSE
        default_headers = self.server_state.default_headers
        if default_headers is not self._default_headers:  # uvicorn makes a new list each second, for the date
            self._default_headers, self._default_header_lines = default_headers, encode_headers(default_headers)
        self.transport.write(b"".join((STATUS_LINE[status], self._default_header_lines, header_lines, end, body)))
        if not fast_request.keep_alive:
            self.transport.close()
        self.on_response_complete()


@lru_cache(TARGETS_MAX)
def _target_of(ingest: Ingest, url: bytes) -> WebhookTarget | None:
    """Parse the URL of an open gateway. Returns None for other URLs, and for those with escapes or a fragment."""
    if not url.startswith(PREFIX) or b"%" in url or b"#" in url:
        return None
    path, _, query = url.decode("latin-1").partition("?")
    try:
        gateway, tail = ingest.route(path, "POST")
    except HTTPError:
        return None
    return WebhookTarget(gateway, tail, path, dict(parse_qsl(query)), query)
