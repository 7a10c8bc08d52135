"""uvicorn's HTTP protocol with limits: a client must send each request in time, and only so many may be connected.

uvicorn itself waits for ever for the rest of a request, and closes no connection on which no byte came.
"""

from __future__ import annotations

import asyncio
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from webhook.limits import HEAD_MAX, LIMITS, ConnectionLimits
from webhook.responses import RETRY_AFTER, HTTPError, encode_headers, http_error_response

NOTHING, HEAD, LATE_HEAD, BODY, LATE_BODY = range(5)
"""The part of a request that arrives now. It is late once a packet has ended within it."""

CROWDED = HTTPError(
    503,
    "too_many_connections",
    "too many connections are open; try again",
    RETRY_AFTER,
    "no file descriptor is left for the connection; raise the limit (ulimit -n, LimitNOFILE, or nofile in Docker), or "
    "run more webhook processes",
)
"""The refusal of a connection that would take the descriptors kept for Redis."""

CLOSE = b"connection: close\r\n\r\n"
"""The end of a head after which the connection is closed."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection with a deadline: for the next request, for the rest of one, or for the next after a response."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits: ConnectionLimits = app_state.get(LIMITS, ConnectionLimits())
        self._check_every_s = min(self.timeout_keep_alive, self._limits.head_timeout_s, self._limits.body_timeout_s)
        self._part = NOTHING
        self._deadline_s: float | None = None
        self._late_bytes = 0
        self._body_grew = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request. Refuse a connection that would take the descriptors kept for Redis."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections_max:
            self.refuse(CROWDED)
        else:
            self._set_deadline(self._limits.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        """Read a packet. If a request is incomplete at its end, the rest gets a deadline."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:
            """The client asks for a WebSocket or HTTP/2. It must expect a response over HTTP/1.1, and gets one."""
        except HttpParserError:
            self.refuse(HTTPError(400, "not_http", "this is not a valid HTTP/1.1 request"))
        if self._part:
            self._wait_for_rest(len(data))

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        self._part = HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End the deadline of the head, or of the idle time before it, and wait for the body."""
        super().on_headers_complete()
        self._part, self._deadline_s = BODY, None
        self.headers = []  # a trailer must not become a header of a request that the application reads meanwhile

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._body_grew = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the reading of a request, which may have its response already."""
        self._part, self._deadline_s = NOTHING, None
        super().on_message_complete()
        if self.cycle.response_complete:
            self._set_deadline(self.timeout_keep_alive)

    def on_response_complete(self) -> None:
        """Continue with the next request of the connection, or wait for one."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._part == NOTHING:
            self._deadline_s = self.loop.time() + self.timeout_keep_alive
            if self.timeout_keep_alive_task is None:
                self._check_later()
        elif self._part >= BODY:  # the response came early, and the rest of the body is dropped
            self._set_deadline(self._limits.body_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer, which would keep this object in memory."""
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def on_body_late(self) -> None:
        """Called once when a packet has ended within a body."""

    def on_body_timeout(self) -> None:
        """Called when a body is not complete in time. The application has its own limit as long as it reads."""
        if self.cycle.response_complete:
            self.transport.close()

    def refuse(self, error: HTTPError) -> None:
        """Respond to the current request with an error, and close. Earlier requests without a response get none.

        A client that reads the error as the response to an earlier request would not send that one again.
        """
        self._limits.on_refusal(error)
        if not self._is_earlier_waiting():
            status, _, header_lines, body = http_error_response(error)
            default_header_lines = encode_headers(self.server_state.default_headers)
            self.transport.write(b"".join((STATUS_LINE[status], default_header_lines, header_lines, CLOSE, body)))
        self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if its deadline is over, else check again when it may be."""
        self.timeout_keep_alive_task = None
        if self._deadline_s is None or self.transport.is_closing():
            return
        if self._deadline_s > self.loop.time():
            self._check_later()
        elif self._part >= BODY:
            self.on_body_timeout()
        elif self._part:
            detail = f"the headers did not arrive within WEBHOOK_HEAD_TIMEOUT={self._limits.head_timeout_s:g} s"
            self.refuse(HTTPError(408, "timeout", detail))
        else:
            self.transport.close()

    def _unset_keepalive_if_required(self) -> None:
        """Do nothing: the idle time ends with the next request. The timer keeps running, which costs less."""

    def _wait_for_rest(self, packet_size: int) -> None:
        """Set the deadline of a part when it becomes late, and limit what comes besides a body."""
        if self.transport.is_closing():
            return
        if self._part == HEAD:
            self._part, self._late_bytes = LATE_HEAD, 0
            self._set_deadline(self._limits.head_timeout_s)
        elif self._part == BODY:
            self._part, self._late_bytes = LATE_BODY, 0
            self._set_deadline(self._limits.body_timeout_s)
            self.on_body_late()
        else:
            self._limit_size(packet_size)

    def _limit_size(self, packet_size: int) -> None:
        """Refuse headers, trailers and chunk extensions that go on and on."""
        self._late_bytes = 0 if self._body_grew else self._late_bytes + packet_size
        self._body_grew = False
        if self._late_bytes > HEAD_MAX:
            self.refuse(HTTPError(431, "too_large", f"the headers are larger than {HEAD_MAX} bytes"))

    def _set_deadline(self, in_s: float) -> None:
        self._deadline_s = self.loop.time() + in_s
        if self.timeout_keep_alive_task is None:
            self._check_later()

    def _check_later(self) -> None:
        """Set the timer. It runs at least every `_check_every_s`, so that no deadline set meanwhile is missed."""
        left_s = max(0.0, (self._deadline_s or 0.0) - self.loop.time())
        self.timeout_keep_alive_task = self.loop.call_later(
            min(left_s, self._check_every_s), self.timeout_keep_alive_handler
        )

    def _is_earlier_waiting(self) -> bool:
        """Return True if an earlier request of this connection waits for its response, or this one has its own."""
        if self._part >= BODY:
            return bool(self.pipeline) or self.cycle.response_complete
        return bool(self.pipeline) or (self.cycle is not None and not self.cycle.response_complete)
