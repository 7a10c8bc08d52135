"""The HTTP responses of webhooks: JSON, with errors as `{"error": code, "detail": sentence}`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson
from starlette.types import Send

from buffer.errors import StoreError
from gateways.base import BadRequest, Gateway, HTTPReply

RETRY_AFTER_S = 1
"""Seconds after which a gateway may send refused messages again."""

RETRY_AFTER = [(b"retry-after", str(RETRY_AFTER_S).encode())]

NOT_STORED = "the messages could not be stored; send the same again"
BUSY = "this process holds as many request bodies as WEBHOOK_BODIES_MAX allows; send the same again"

HeaderPairs = Sequence[tuple[bytes, bytes]]


class Counts(NamedTuple):
    """The messages and events of one request, counted by their result."""

    accepted: int
    duplicates: int
    ignored: int


class HTTPError(Exception):
    """An error response: HTTP status, error code, and a sentence that tells the client how to correct the request.

    `log_detail` is the sentence of the log if `detail` holds values of the request.
    """

    def __init__(
        self, status: int, code: str, detail: str, headers: HeaderPairs = (), log_detail: str | None = None
    ) -> None:
        super().__init__(detail)
        self.log_detail = log_detail
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


class Busy(Exception):
    """The bodies in hand leave no memory for this one. The gateway gets the status that makes it send again."""


class Response(NamedTuple):
    """A complete HTTP response. `header_lines` are its headers, encoded for HTTP/1.1."""

    status: int
    headers: HeaderPairs
    header_lines: bytes
    body: bytes


def response_of(reply: HTTPReply, headers: HeaderPairs = ()) -> Response:
    """Add the content-type and content-length headers to a reply, and encode its headers."""
    content_headers = (
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
    )
    all_headers = (*content_headers, *headers)
    return Response(reply.status, all_headers, encode_headers(all_headers), reply.body)


def encode_headers(headers: HeaderPairs) -> bytes:
    """Encode headers as lines of HTTP/1.1."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def success_response(gateway: Gateway, counts: Counts) -> Response:
    """Return the response that the gateway wants after its messages are stored, by default the counts as JSON."""
    return counts_response(counts) if gateway.success_reply is None else response_of(gateway.success_reply)


@lru_cache(64)
def counts_response(counts: Counts) -> Response:
    """Return the counts as a JSON response. It is cached: nearly all requests have the same few counts."""
    return response_of(HTTPReply(200, "application/json", orjson.dumps(counts._asdict())))


def error_response(error: Exception, gateway: Gateway) -> Response:
    """Return the response to an error. A StoreError gets the status that makes the gateway send the request again."""
    return http_error_response(http_error_of(error, gateway))


def http_error_response(error: HTTPError) -> Response:
    """Return the response that an HTTPError describes."""
    body = orjson.dumps({"error": error.code, "detail": error.detail})
    return response_of(HTTPReply(error.status, "application/json", body), error.headers)


def http_error_of(error: Exception, gateway: Gateway) -> HTTPError:
    """Return the HTTP error for an exception. One that passes gets the status that makes it send again."""
    if isinstance(error, HTTPError):
        return error
    if isinstance(error, BadRequest):
        return HTTPError(400, "bad_request", str(error))
    if isinstance(error, StoreError | Busy):
        detail = BUSY if isinstance(error, Busy) else NOT_STORED
        return HTTPError(gateway.retry_status, "unavailable", detail, RETRY_AFTER)
    return HTTPError(500, "internal", "the service failed at this request; its log says why")


async def send_response(send: Send, response: Response) -> None:
    """Send a response as ASGI events. A client that has left gets none, which is no error of ours."""
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        await send({"type": "http.response.body", "body": response.body})
    except (OSError, RuntimeError) as error:
        # uvicorn writes to the closed connection before it hears of the end; uvloop has no error of its own for that
        if isinstance(error, RuntimeError) and "closed" not in str(error):
            raise
