"""Webhooks as a plain ASGI application, for any server and for the requests that the fast path leaves to uvicorn."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from gateways.base import Gateway, HeaderMapping, Headers, Request
from webhook.ingest import Ingest, gateway_named_in
from webhook.limits import BodyReader, Disconnected
from webhook.responses import Busy, HTTPError, Response, http_error_response, send_response

DIGITS_MAX = 20
"""Digits of a content-length that are read. More digits are larger than any allowed body, whichever they are."""

TRACE_FIELDS = (b"traceparent", b"tracestate")


class WebhookEndpoint:
    """Reads requests from ASGI events and sends their responses."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        try:
            _check_host(scope)
            gateway, tail = self._ingest.route(scope["path"], scope["method"])
        except HTTPError as error:
            self._ingest.left_out.refuse(gateway_named_in(scope["path"]), error)
            await send_response(send, http_error_response(error))
            return
        body = self._ingest.body_reader()
        try:
            response = await self._process(gateway, _head_of(scope, tail), scope["method"], body, receive)
            await send_response(send, response)
        except Disconnected:
            return
        finally:
            body.close()

    async def _process(
        self, gateway: Gateway, request: Request, method: str, body: BodyReader, receive: Receive
    ) -> Response:
        """Return the response. A request that its head refuses is refused before its body takes anything."""
        try:
            if method == "POST":
                self._ingest.check_head(gateway, request)
            body.reserve(_declared_size(request.headers))
            request.body = await body.read(receive)
        except (HTTPError, Busy) as error:
            return self._ingest.refuse(gateway, error)
        if method == "GET" and (response := self._ingest.verification_response(gateway, request)):
            return response
        return await self._handle(gateway, request)

    async def _handle(self, gateway: Gateway, request: Request) -> Response:
        response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        remaining = self._ingest.handle(gateway, request, partial(_set_unless_cancelled, response))
        if remaining is not None:
            await remaining
        return await response


def _check_host(scope: Scope) -> None:
    """Raise HTTPError (400) unless a request of HTTP/1.1 names its host, and does so once."""
    if scope.get("http_version") == "1.1" and sum(name == b"host" for name, _ in scope["headers"]) != 1:
        raise HTTPError(400, "bad_request", "a request of HTTP/1.1 must have one Host header")


def _head_of(scope: Scope, tail: str) -> Request:
    """Return the request without its body."""
    query = scope["query_string"].decode("latin-1")
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    headers = Headers(_fields_of(scope["headers"]))
    return Request(headers, dict(parse_qsl(query)) if query else {}, tail, b"", path, query)


def _fields_of(pairs: Collection[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the header fields. Of a doubled field the last line counts.

    The trace context has its own rules: a doubled `traceparent` is not valid, and the lines of `tracestate` are a list.
    """
    fields = dict(pairs)
    if len(fields) < len(pairs):
        parents, states = ([value for name, value in pairs if name == trace] for trace in TRACE_FIELDS)
        if len(parents) > 1:
            del fields[TRACE_FIELDS[0]]
        if len(states) > 1:
            fields[TRACE_FIELDS[1]] = b",".join(states)
    return fields


def _set_unless_cancelled(future: asyncio.Future[Response], response: Response) -> None:
    """Set the response of a request, unless the server has cancelled its task meanwhile."""
    if not future.done():
        future.set_result(response)


def _declared_size(headers: HeaderMapping) -> int:
    declared = headers.get("content-length", "")
    return int(declared[:DIGITS_MAX]) if declared.isascii() and declared.isdigit() else 0
