"""`POST /webhooks/{gateway}` as a plain ASGI application: the way under any server, and for bodies in pieces."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from gateways.base import Gateway, Headers, Request
from webhook.ingest import Ingest
from webhook.responses import Response, error_response, send_response

DIGITS_MAX = 20


class Disconnected(Exception):
    """The client went away before its body was complete."""


class WebhookEndpoint:
    """Reads requests from ASGI events and answers them."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        gateway = None
        try:
            gateway, tail = self._ingest.route(scope["path"], scope["method"])
            response = await self._answer(gateway, await self._read(scope, receive, tail), scope["method"])
        except Disconnected:
            return
        except Exception as error:
            self._ingest.complain(error)
            response = error_response(error, gateway)
        await send_response(send, response)

    async def _answer(self, gateway: Gateway, request: Request, method: str) -> Response:
        if method == "GET" and (response := self._ingest.shake_hands(gateway, request)):
            return response
        events = self._ingest.read(gateway, request)
        return self._ingest.respond(gateway, await self._ingest.take(events))

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


def _declared_size(headers: Headers) -> int:
    declared = headers.get("content-length", "")
    return int(declared[:DIGITS_MAX]) if declared.isascii() and declared.isdigit() else 0
