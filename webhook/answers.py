"""The HTTP answers of the plain ASGI part: JSON, with errors as `{"error": code, "detail": sentence}`."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.types import Send

from gateways.base import Answer

RETRY_AFTER_S = 1

Headers = list[tuple[bytes, bytes]]


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


async def send_answer(send: Send, answer: Answer, headers: Headers | None = None) -> None:
    """Send one answer."""
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                (b"content-type", answer.content_type.encode()),
                (b"content-length", str(len(answer.body)).encode()),
                *(headers or ()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": answer.body})


async def send_json(send: Send, status: int, body: Any, headers: Headers | None = None) -> None:
    """Send one JSON answer."""
    await send_answer(send, Answer(status, "application/json", orjson.dumps(body)), headers)


async def send_refusal(send: Send, refused: Refused) -> None:
    """Send an error."""
    body = {"error": refused.code, "detail": refused.detail}
    await send_json(send, refused.status, body, refused.headers)
