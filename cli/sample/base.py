"""What all sample agents share: the conversations that they keep, the modes in which they fail, and the server."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

from cli.serving import serving

BODY_MAX = 67_108_864
"""Bytes. A burst may carry inline media."""

KEY = "sample-key"
"""The key that the kinds with one want."""

OnTurn = Callable[[str, str, str], None]


class Wrong(Exception):
    """The request is not what the protocol wants: status and words."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


class SampleAgent:
    """Keeps conversations by their sessions, and answers each turn with its number and the words of the turn before.

    `mode` makes it answer otherwise; each kind names its own. `calls` counts requests by Idempotency-Key, `wrong` has
    what was refused.
    """

    modes: tuple[str, ...] = ()
    """The modes of the kind, besides `html`."""

    def __init__(self, mode: str = "", delay_s: float = 0.0, on_turn: OnTurn = lambda *_: None) -> None:
        self.mode = mode
        self.turns: defaultdict[str, list[str]] = defaultdict(list)
        self.calls: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._delay_s = delay_s
        self._on_turn = on_turn

    async def turn(self, session: str, text: str) -> str:
        """Take one turn of a conversation. Return the answer."""
        before = self.turns[session]
        known = f"Before that you said: {before[-1]}" if before else "We have just met."
        answer = f"Turn {len(before) + 1}. {known}"
        before.append(text)
        self._on_turn(session, text, answer)
        await asyncio.sleep(self._delay_s)
        return answer

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the addresses of the kind."""
        raise NotImplementedError

    def refusal(self, wrong: Wrong) -> web.StreamResponse:
        """Return the response to a wrong request."""
        return web.json_response({"message": str(wrong)}, status=wrong.status)

    @asynccontextmanager
    async def serve(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve on a listening socket during a `with` block."""
        application = web.Application(client_max_size=BODY_MAX, middlewares=[self._checked])
        application.add_routes(self.routes())
        async with serving(application, listener, self._delay_s + 1):
            yield

    @web.middleware
    async def _checked(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls[request.headers.get("Idempotency-Key", "")] += request.method == "POST"
        if self.mode == "html":
            return web.Response(text="<!doctype html><html><body>Sign in</body></html>", content_type="text/html")
        try:
            response: web.StreamResponse = await handler(request)
            return response
        except Wrong as wrong:
            self.wrong.append(str(wrong))
            return self.refusal(wrong)


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a request. Raises Wrong."""
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise Wrong(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Wrong(400, "the body is no JSON object")
    return body


def text_in(body: dict[str, Any], name: str) -> str:
    """Return a text of a body that must not be empty. Raises Wrong."""
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Wrong(400, f"`{name}` must be a text that is not empty")
    return value


def check_key(request: web.Request, header: str = "Authorization", value: str = f"Bearer {KEY}") -> None:
    """Raise Wrong unless a header has the key."""
    if request.headers.get(header) != value:
        raise Wrong(401, f"the header {header} does not have the key")
