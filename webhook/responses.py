"""The HTTP answers of webhooks: JSON, with errors as `{"error": code, "detail": sentence}`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson
from starlette.types import Send

from buffer.errors import StoreError
from gateways.base import BadRequest, Gateway, HTTPReply

RETRY_AFTER_S = 1
NOT_STORED = "the messages could not be stored; send the same again"

HeaderPairs = Sequence[tuple[bytes, bytes]]


class Counts(NamedTuple):
    """What became of the messages of a body."""

    accepted: int
    duplicates: int
    ignored: int


class HTTPError(Exception):
    """The request is answered with an error: HTTP status, code, and a sentence that says what to do."""

    def __init__(self, status: int, code: str, detail: str, headers: HeaderPairs = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


class Response(NamedTuple):
    """An answer that is ready to be sent; `lines` are its headers as they are written."""

    status: int
    headers: HeaderPairs
    lines: bytes
    body: bytes


def response_of(answer: HTTPReply, headers: HeaderPairs = ()) -> Response:
    """Complete an answer with the headers that every one has."""
    own = (b"content-type", answer.content_type.encode()), (b"content-length", str(len(answer.body)).encode())
    return Response(answer.status, (*own, *headers), encode_headers((*own, *headers)), answer.body)


def encode_headers(headers: HeaderPairs) -> bytes:
    """Headers as they are written."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


@lru_cache(64)
def counts_response(counts: Counts) -> Response:
    """The answer to a body that was taken; nearly all are the same few."""
    return response_of(HTTPReply(200, "application/json", orjson.dumps(counts._asdict())))


def error_response(error: Exception, gateway: Gateway | None = None) -> Response:
    """The answer that tells an error; `gateway` decides which status makes it send the same again."""
    refused = error if isinstance(error, HTTPError) else _http_error_of(error, gateway)
    body = orjson.dumps({"error": refused.code, "detail": refused.detail})
    return response_of(HTTPReply(refused.status, "application/json", body), refused.headers)


def _http_error_of(error: Exception, gateway: Gateway | None) -> HTTPError:
    if isinstance(error, BadRequest):
        return HTTPError(400, "bad_request", str(error))
    if isinstance(error, StoreError):
        again = [(b"retry-after", str(RETRY_AFTER_S).encode())]
        return HTTPError(gateway.retry_status if gateway else 503, "unavailable", NOT_STORED, again)
    return HTTPError(500, "internal", "the service failed at this request; its log says why")


async def send_response(send: Send, response: Response) -> None:
    """Send an answer as ASGI events."""
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.body})
