"""Parts, people and responses for the tests of the senders, and one request made over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx

from buffer.models import Conversation
from gateways.sending import PartId, ReplyTo, SendRequest, SendResponse, Target

PHONE = "5511900000001"
LID = "100000000000001@lid"
GROUP = "120363000000000001@g.us"
PART_ID = PartId("0f" * 8, 1, 2)
TOLD_MAX = 1024 * 1024
"""Bytes of a response that are read, as the worker bounds it."""


def reply_to(gateway: str, channel: str, peer: str = PHONE, *, is_group: bool = False, **last: Any) -> ReplyTo:
    """Return the person, with the fields of the last message."""
    return ReplyTo(Conversation(gateway, channel, peer), {"message_id": "M1", "text": "oi, tudo bem?"} | last, is_group)


def response(status: int, body: Any = b"", **headers: str) -> SendResponse:
    """Return a response. A body that is not bytes is JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return SendResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def fields(request: SendRequest) -> dict[str, Any]:
    """Return the JSON of a request."""
    return dict(json.loads(request.body))


def exchange(request: SendRequest, timeout_s: float = 5.0) -> SendResponse:
    """Make a request as the worker does: no redirect is followed, and no more than TOLD_MAX bytes are read."""
    with (
        httpx.Client(timeout=timeout_s, trust_env=False) as client,
        client.stream(request.method, request.url, headers=dict(request.headers), content=request.body) as answer,
    ):
        body = b""
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > TOLD_MAX:
                break
        return SendResponse(answer.status_code, dict(answer.headers), body)


def at(target: Target, url: str) -> Target:
    """Return the same target at another address."""
    return target._replace(url=url)
