"""A sample of a Typebot flow that asks on and on, until the person says `fim`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from cli.sample.base import SampleAgent, Wrong, body_of, text_in

END = "fim"


class SampleTypebot(SampleAgent):
    """Modes: choices, error (after the step), html."""

    modes = ("choices", "error")

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the addresses of a start and of each further step."""
        return [
            web.post("/api/v1/typebots/{public_id}/startChat", self._start),
            web.post("/api/v1/sessions/{session}/continueChat", self._go_on),
        ]

    def forget_sessions(self) -> None:
        """Let all sessions expire."""
        self.turns.clear()

    async def _start(self, request: web.Request) -> web.StreamResponse:
        body = await body_of(request)
        session = uuid.uuid4().hex[:12]
        return await self._step(session, _message(body), {"sessionId": session})

    async def _go_on(self, request: web.Request) -> web.StreamResponse:
        session = request.match_info["session"]
        if session not in self.turns:
            raise Wrong(404, "Session not found.")
        return await self._step(session, _message(await body_of(request)), {})

    async def _step(self, session: str, text: str, more: dict[str, Any]) -> web.StreamResponse:
        answer = await self.turn(session, text)
        if self.mode == "error":
            raise Wrong(500, "Internal server error")
        bubble = {"id": "1", "type": "text", "content": {"type": "markdown", "markdown": answer}}
        asked: dict[str, Any] | None = {"type": "text input", "items": _choices(self.mode)}
        if text == END:
            del self.turns[session]
            asked = None
        return web.json_response({**more, "messages": [bubble], "input": asked})


def _choices(mode: str) -> list[dict[str, str]]:
    return [{"content": "Sim"}, {"content": "Não"}] if mode == "choices" else []


def _message(body: dict[str, Any]) -> str:
    message = body.get("message")
    if not isinstance(message, dict) or message.get("type") != "text":
        raise Wrong(400, "`message` must be an object of type text")
    return text_in(message, "text")
