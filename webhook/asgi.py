"""Webhooks as a plain ASGI application, for any server and for the requests that the fast path leaves to uvicorn."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from gateways.base import Gateway, Headers, Request
from webhook.ingest import Ingest
from webhook.responses import HTTPError, Response, http_error_response, send_response

DIGITS_MAX = 20
"""Digits of a content-length that are read. More digits are larger than any allowed body, whichever they are."""


class Disconnected(Exception):
    """The client closed its connection before its body was complete."""


class WebhookEndpoint:
    """Reads requests from ASGI events and sends their responses."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        try:
            response = await self._process(scope, receive)
        except Disconnected:
            return
        except HTTPError as error:
            response = http_error_response(error)
        await send_response(send, response)

    async def _process(self, scope: Scope, receive: Receive) -> Response:
        gateway, tail = self._ingest.route(scope["path"], scope["method"])
        request = await self._read(scope, receive, tail)
        if scope["method"] == "GET" and (response := self._ingest.verification_response(gateway, request)):
            return response
        return await self._handle(gateway, request)

    async def _handle(self, gateway: Gateway, request: Request) -> Response:
        response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        remaining = self._ingest.handle(gateway, request, partial(_set_unless_cancelled, response))
        if remaining is not None:
            await remaining
        return await response

    async def _read(self, scope: Scope, receive: Receive, tail: str) -> Request:
        headers = Headers(dict(scope["headers"]))
        self._ingest.check_size(_declared_size(headers))
        body = await self._read_body(receive)
        query = scope["query_string"].decode("latin-1")
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        return Request(headers, dict(parse_qsl(query)) if query else {}, tail, body, path, query)

    async def _read_body(self, receive: Receive) -> bytes:
        chunks, size = [], 0
        event: MutableMapping[str, Any] = {"more_body": True}
        while event.get("more_body"):
            event = await receive()
            if event["type"] == "http.disconnect":
                raise Disconnected
            chunks.append(event.get("body", b""))
            size += len(chunks[-1])
            self._ingest.check_size(size)
        return b"".join(chunks)


def _set_unless_cancelled(future: asyncio.Future[Response], response: Response) -> None:
    """Set the response of a request, unless the server has cancelled its task meanwhile."""
    if not future.done():
        future.set_result(response)


def _declared_size(headers: Headers) -> int:
    declared = headers.get("content-length", "")
    return int(declared[:DIGITS_MAX]) if declared.isascii() and declared.isdigit() else 0
