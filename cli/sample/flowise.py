"""A sample of a Flowise chatflow with a memory node."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from cli.sample.base import SampleAgent, Wrong, body_of, text_in


class SampleFlowise(SampleAgent):
    """Modes: throttled, error, json, html."""

    modes = ("throttled", "error", "json")

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the address of predictions."""
        return [web.post("/api/v1/prediction/{flow_id}", self._predict)]

    def refusal(self, wrong: Wrong) -> web.StreamResponse:
        """Return an error as Flowise writes it."""
        body = {"statusCode": wrong.status, "success": False, "message": str(wrong), "stack": {}}
        return web.json_response(body, status=wrong.status)

    async def _predict(self, request: web.Request) -> web.StreamResponse:
        if "Origin" in request.headers:
            raise Wrong(403, "this site is not allowed to access this chatbot")
        if self.mode == "throttled":
            return web.Response(status=429, text="Please slow down")
        body = await body_of(request)
        session, question = text_in(body, "chatId"), text_in(body, "question")
        if (body.get("overrideConfig") or {}).get("sessionId") != session:
            raise Wrong(400, "chatId and overrideConfig.sessionId differ")
        answer = await self.turn(session, question)
        if self.mode == "error":
            raise Wrong(500, "Error: buildChatflow - a node failed")
        said = {"json": {"answer": answer}} if self.mode == "json" else {"text": answer}
        return web.json_response({**said, "question": question, "chatId": session, "sessionId": session})
