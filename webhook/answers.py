"""The HTTP answers of the plain ASGI part: JSON, with errors as `{"error": code, "detail": sentence}`."""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from starlette.types import Send

from gateways.base import Answer

RETRY_AFTER_S = 1

Headers = list[tuple[bytes, bytes]]
Events = tuple[MutableMapping[str, Any], MutableMapping[str, Any]]
"""Start and body of an answer; both may be sent more than once."""


class Counts(NamedTuple):
    """What became of the messages of a body."""

    accepted: int
    duplicates: int
    ignored: int


class Refused(Exception):
    """The request is answered with an error: HTTP status, code, and a sentence that says what to do."""

    def __init__(self, status: int, code: str, detail: str, headers: Headers | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or []


def come_back(detail: str, status: int = 503) -> Refused:
    """The answer that makes a gateway send the same again."""
    return Refused(status, "unavailable", detail, [(b"retry-after", str(RETRY_AFTER_S).encode())])


def answer_events(answer: Answer, headers: Headers | None = None) -> Events:
    """One answer as ASGI wants it sent."""
    return (
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                (b"content-type", answer.content_type.encode()),
                (b"content-length", str(len(answer.body)).encode()),
                *(headers or ()),
            ],
        },
        {"type": "http.response.body", "body": answer.body},
    )


@lru_cache(64)
def counts_events(counts: Counts) -> Events:
    """The answer to a body that was taken; nearly all are the same few."""
    return answer_events(Answer(200, "application/json", orjson.dumps(counts._asdict())))


async def send_refusal(send: Send, refused: Refused) -> None:
    """Send an error."""
    body = orjson.dumps({"error": refused.code, "detail": refused.detail})
    for event in answer_events(Answer(refused.status, "application/json", body), refused.headers):
        await send(event)
