"""A sample of n8n: a Webhook node, an agent with a memory, and a respond node."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from aiohttp import web

from cli.sample.base import SampleAgent, Wrong, body_of, text_in

SENTENCES = {
    "immediately": "Workflow was started",
    "no-data": "Workflow executed successfully but no data was returned",
}


class SampleN8n(SampleAgent):
    """Modes: immediately, no-data, all-items, not-reached, inactive, error, streaming, html."""

    modes = ("immediately", "no-data", "all-items", "not-reached", "inactive", "error", "streaming")

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the production address and the test address."""
        return [web.post("/webhook-test/{name}", self._inactive), web.post("/webhook/{name:.+}", self._run)]

    async def _inactive(self, request: web.Request) -> web.StreamResponse:
        raise Wrong(404, f'The requested webhook "POST {request.match_info["name"]}" is not registered.')

    async def _run(self, request: web.Request) -> web.StreamResponse:
        if self.mode == "inactive":
            return await self._inactive(request)
        body = await body_of(request)
        answer = await self.turn(text_in(body, "sessionId"), text_in(body, "chatInput"))
        if self.mode == "error":
            raise Wrong(500, "Error in workflow")
        if self.mode == "not-reached":
            return web.Response()
        if self.mode == "streaming":
            return _streamed(answer)
        if self.mode in SENTENCES:
            return web.json_response({"message": SENTENCES[self.mode]})
        return web.json_response([{"output": answer}] if self.mode == "all-items" else {"output": answer})


def _streamed(answer: str) -> web.Response:
    pieces = [("begin", ""), *(("item", letter) for letter in answer), ("end", "")]
    lines = "\n".join(_line(kind, text) for kind, text in pieces)
    return web.Response(text=lines, content_type="application/json")


def _line(kind: str, text: str) -> str:
    return orjson.dumps({"type": kind, "content": text, "metadata": {"nodeName": "Agent"}}).decode()
