"""The HTTP answers of webhooks: JSON, with errors as `{"error": code, "detail": sentence}`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson
from starlette.types import Send

from buffer.errors import StoreError
from gateways.base import Answer, BadRequest, Gateway

RETRY_AFTER_S = 1
NOT_STORED = "the messages could not be stored; send the same again"

Headers = Sequence[tuple[bytes, bytes]]


class Counts(NamedTuple):
    """What became of the messages of a body."""

    accepted: int
    duplicates: int
    ignored: int


class Refused(Exception):
    """The request is answered with an error: HTTP status, code, and a sentence that says what to do."""

    def __init__(self, status: int, code: str, detail: str, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


class Response(NamedTuple):
    """An answer that is ready to be sent; `lines` are its headers as they are written."""

    status: int
    headers: Headers
    lines: bytes
    body: bytes


def response_of(answer: Answer, headers: Headers = ()) -> Response:
    """Complete an answer with the headers that every one has."""
    own = (b"content-type", answer.content_type.encode()), (b"content-length", str(len(answer.body)).encode())
    return Response(answer.status, (*own, *headers), lines_of((*own, *headers)), answer.body)


def lines_of(headers: Headers) -> bytes:
    """Headers as they are written."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


@lru_cache(64)
def counted(counts: Counts) -> Response:
    """The answer to a body that was taken; nearly all are the same few."""
    return response_of(Answer(200, "application/json", orjson.dumps(counts._asdict())))


def refusal(error: Exception, gateway: Gateway | None = None) -> Response:
    """The answer that tells an error; `gateway` decides which status makes it send the same again."""
    refused = error if isinstance(error, Refused) else _meaning(error, gateway)
    body = orjson.dumps({"error": refused.code, "detail": refused.detail})
    return response_of(Answer(refused.status, "application/json", body), refused.headers)


def _meaning(error: Exception, gateway: Gateway | None) -> Refused:
    if isinstance(error, BadRequest):
        return Refused(400, "bad_request", str(error))
    if isinstance(error, StoreError):
        again = [(b"retry-after", str(RETRY_AFTER_S).encode())]
        return Refused(gateway.retry_status if gateway else 503, "unavailable", NOT_STORED, again)
    return Refused(500, "internal", "the service failed at this request; its log says why")


async def send_response(send: Send, response: Response) -> None:
    """Send an answer as ASGI events."""
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.body})
