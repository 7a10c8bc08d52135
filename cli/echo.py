"""A small agent for the demo and `debouncer sample-agent`: it waits a while and answers each burst with a sentence."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

from cli.serving import serving

BODY_MAX = 67_108_864
"""Bytes. A burst may carry inline media."""

Body = dict[str, Any]
OnRequest = Callable[[Body, dict[str, str]], None]
Replies = Callable[[Body], list[str]]
OnAnswer = Callable[[Body, list[str]], None]


class EchoAgent:
    """Answers each call after `delay_s`. `on_request` gets the body and headers, `on_answer` the body and replies."""

    def __init__(
        self, delay_s: float, on_request: OnRequest, on_answer: OnAnswer, replies: Replies | None = None
    ) -> None:
        self._delay_s = delay_s
        self._replies = replies or replies_to
        self._on_request = on_request
        self._on_answer = on_answer

    @asynccontextmanager
    async def serve(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve on a listening socket during a `with` block."""
        application = web.Application(client_max_size=BODY_MAX)
        application.router.add_route("*", "/{path:.*}", self._answer)
        async with serving(application, listener, self._delay_s + 1):
            yield

    async def _answer(self, request: web.Request) -> web.Response:
        body = _burst(await request.read())
        if body is None:
            return web.Response(status=400, text="this agent expects a POST with the JSON that debouncer sends\n")
        self._on_request(body, {name.lower(): value for name, value in request.headers.items()})
        await asyncio.sleep(self._delay_s)
        replies = self._replies(body)
        self._on_answer(body, replies)
        return web.json_response({"reply": replies[0]} if len(replies) == 1 else {"replies": replies})


def replies_to(body: Body) -> list[str]:
    """Return the agent's one sentence about a burst."""
    count = len(body["messages"])
    name = body["conversation"].get("name") or "there"
    read = "your message" if count == 1 else f"your {count} messages together"
    return [f"Hello {name}, I have read {read}."]


def _burst(content: bytes) -> Body | None:
    """Return the body of a call from debouncer, or None for any other request."""
    try:
        body = orjson.loads(content)
        is_burst = isinstance(body["messages"], list) and isinstance(body["conversation"], dict)
    except (ValueError, KeyError, TypeError):
        return None
    return body if is_burst else None
