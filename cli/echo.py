"""A small agent for trying things out: it reads a burst, thinks for a while and answers with a sentence."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

BODY_MAX = 67_108_864
"""Bytes; a burst may carry inline media."""

Body = dict[str, Any]
OnRequest = Callable[[Body, dict[str, str]], None]
OnReply = Callable[[Body, str], None]


class EchoAgent:
    """Answers each call after `delay_s`; `heard` is told of a call (body, headers), `said` of its answer."""

    def __init__(self, delay_s: float, heard: OnRequest, said: OnReply) -> None:
        self._delay_s = delay_s
        self._heard = heard
        self._said = said

    @asynccontextmanager
    async def on(self, listener: socket.socket) -> AsyncIterator[None]:
        """Answer on a listening socket for the time of a `with` block."""
        application = web.Application(client_max_size=BODY_MAX)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=self._delay_s + 1)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = _burst(await request.read())
        if body is None:
            return web.Response(status=400, text="this agent expects a POST with the JSON that debouncer sends\n")
        self._heard(body, {name.lower(): value for name, value in request.headers.items()})
        await asyncio.sleep(self._delay_s)
        reply = reply_to(body)
        self._said(body, reply)
        return web.json_response({"reply": reply})


def reply_to(body: Body) -> str:
    """The agent's sentence about a burst."""
    count = len(body["messages"])
    name = body["conversation"].get("name") or "there"
    read = "your message" if count == 1 else f"your {count} messages together"
    return f"Hello {name}, I have read {read}."


def _burst(content: bytes) -> Body | None:
    """The body of a call from debouncer, or None for anything else."""
    try:
        body = orjson.loads(content)
        known = isinstance(body["messages"], list) and isinstance(body["conversation"], dict)
    except (ValueError, KeyError, TypeError):
        return None
    return body if known else None
