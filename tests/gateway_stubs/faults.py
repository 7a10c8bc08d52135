"""Requests and responses of a stub, and the faults that a test can ask for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

ENDLESS_CHUNK = b"x" * 65536

FaultKind = Literal[
    "close",
    "slow",
    "half",
    "html",
    "status",
    "lost",
    "echo_first",
    "echo_only",
    "echo_twice",
    "redirect",
    "endless",
    "garbage",
]


@dataclass(frozen=True)
class Fault:
    """What happens to one message instead of the usual.

    `close`: the connection is closed before anything is done. `slow`: the usual, after `after_s`. `half`: done, but the
    response breaks off in its body. `html`: done, and a page is the response. `status`: not done; the response is
    `status` with `body`. `lost`: done, then the connection is closed. `echo_first`: done, and the echo comes before the
    response. `echo_only`: done, the echo comes, then the connection is closed. `echo_twice`: done, two echoes.
    `redirect`: not done, 307. `endless`: done, and the response has no end. `garbage`: done; the response is no JSON.
    """

    kind: FaultKind
    after_s: float = 0.0
    status: int = 500
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Received:
    """One request as it arrived. `json` is None if the body is no JSON. `found` are the groups of the route's path."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    json: Any
    found: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """A response. A body that is not bytes is sent as JSON."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


async def read(asked: web.Request) -> Received:
    """Read a request as it arrived."""
    body = await asked.read()
    try:
        parsed = json.loads(body) if body else None
    except ValueError:
        parsed = None
    headers = {name.lower(): value for name, value in asked.headers.items()}
    return Received(asked.method, asked.raw_path.partition("?")[0], headers, dict(asked.query), body, parsed)


def response_of(reply: Reply) -> web.Response:
    """Return the response that a reply describes."""
    headers = dict(reply.headers)
    if isinstance(reply.body, bytes):
        return web.Response(status=reply.status, body=reply.body, headers=headers)
    body = json.dumps(reply.body).encode()
    return web.Response(status=reply.status, body=body, headers={"content-type": "application/json"} | headers)


def undone(asked: web.Request, fault: Fault) -> web.Response:
    """Return what the caller gets from a fault that lets nothing be done."""
    if fault.kind == "close":
        return _cut(asked)
    if fault.kind == "redirect":
        return web.Response(status=307, headers={"location": "http://127.0.0.1:9/elsewhere"})
    return response_of(Reply(fault.status, {} if fault.body is None else fault.body, fault.headers))


async def spoilt(asked: web.Request, reply: Reply, fault: Fault) -> web.StreamResponse:
    """Return what the caller gets when the message was taken and the response is spoilt."""
    if fault.kind == "html":
        return web.Response(status=reply.status, text="<html><body>Welcome</body></html>", content_type="text/html")
    if fault.kind == "garbage":
        return web.Response(status=reply.status, body=b'{"key": {"id": ', content_type="application/json")
    if fault.kind in ("half", "endless"):
        return await _broken_body(asked, reply, fault)
    return _cut(asked)


async def _broken_body(asked: web.Request, reply: Reply, fault: Fault) -> web.StreamResponse:
    body = json.dumps(reply.body).encode()
    response = web.StreamResponse(status=reply.status, headers={"content-type": "application/json"})
    if fault.kind == "half":
        response.content_length = max(len(body), 2)
    await response.prepare(asked)
    await response.write(body[: max(1, len(body) // 2)])
    while fault.kind == "endless":
        await response.write(ENDLESS_CHUNK)
    _cut(asked)
    return response


def _cut(asked: web.Request) -> web.Response:
    if asked.transport is not None:
        asked.transport.abort()
    return web.Response()
