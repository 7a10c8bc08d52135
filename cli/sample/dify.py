"""A sample of a Dify agent app: it streams, keeps conversations for their users, and tells what was said."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable
from typing import Any

import orjson
from aiohttp import web

from cli.sample.base import SampleAgent, Wrong, body_of, check_key, text_in

CODES = {400: "invalid_param", 401: "unauthorized", 404: "not_found"}
PIECE = 5
"""Bytes of each piece of the stream: it cuts characters and fields."""


class SampleDify(SampleAgent):
    """Modes: error, cut (the stream ends early), lost (the answer is kept, the connection breaks), html."""

    modes = ("error", "cut", "lost")

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.users: dict[str, str] = {}
        self.messages: dict[str, list[dict[str, Any]]] = {}

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the addresses that an agent is spoken to, and looked at."""
        return [
            web.post("/v1/chat-messages", self._chat),
            web.get("/v1/messages", self._messages),
            web.get("/v1/conversations", self._conversations),
        ]

    def refusal(self, wrong: Wrong) -> web.StreamResponse:
        """Return an error as Dify writes it."""
        body = {"code": CODES.get(wrong.status, "error"), "message": str(wrong), "status": wrong.status}
        return web.json_response(body, status=wrong.status)

    def forget_conversations(self) -> None:
        """Delete all conversations, as an operator does in Dify."""
        self.users.clear()
        self.messages.clear()

    def _talk_of(self, talk: str, user: str) -> str:
        """Return an existing conversation. Raises Wrong for an id that is none, and for another user's."""
        try:
            uuid.UUID(talk)
        except ValueError:
            raise Wrong(400, f"{talk} is not a valid uuid.") from None
        if self.users.get(talk) != user:
            raise Wrong(404, "Conversation Not Exists.")
        return talk

    def _new_talk(self, user: str) -> str:
        talk = str(uuid.uuid4())
        self.users[talk], self.messages[talk] = user, []
        return talk

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        check_key(request)
        body = await body_of(request)
        query, user = text_in(body, "query"), text_in(body, "user")
        if not isinstance(body.get("inputs"), dict):
            raise Wrong(400, "inputs is required in input form")
        if body.get("response_mode") != "streaming":
            raise Wrong(400, "Agent Chat App does not support blocking mode")
        known = body.get("conversation_id")
        talk = self._talk_of(known, user) if known else self._new_talk(user)
        entry: dict[str, Any] = {"id": str(uuid.uuid4()), "conversation_id": talk, "query": query, "answer": ""}
        entry |= {"status": "normal", "created_at": int(time.time())}
        self.messages[talk].append(entry)
        if self.mode != "error":
            entry["answer"] = await self.turn(talk, query)
        return await self._stream(request, entry)

    async def _stream(self, request: web.Request, entry: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        content = b"event: ping\n\n" + b"".join(b"data: " + orjson.dumps(one) + b"\n\n" for one in self._events(entry))
        for at in range(0, len(content), PIECE):
            await response.write(content[at : at + PIECE])
            await asyncio.sleep(0)
        if self.mode == "lost" and request.transport is not None:
            request.transport.abort()
        return response

    def _events(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        ids = {"conversation_id": entry["conversation_id"], "message_id": entry["id"], "task_id": entry["id"]}
        answer = entry["answer"]
        pieces = [{"event": "agent_message", "answer": answer[at : at + 9], **ids} for at in range(0, len(answer), 9)]
        if self.mode == "error":
            quota = {"event": "error", "status": 400, "code": "provider_quota_exceeded", "message": "no quota"}
            return [{"event": "agent_message", "answer": "Half", **ids}, {**quota, **ids}]
        if self.mode in ("cut", "lost"):
            return pieces[:1]
        return [{"event": "agent_thought", "thought": "", **ids}, *pieces, {"event": "message_end", **ids}]

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        check_key(request)
        talk = self._talk_of(request.query.get("conversation_id", ""), request.query.get("user", ""))
        return web.json_response({"data": self.messages[talk][::-1][: int(request.query.get("limit", "20"))]})

    async def _conversations(self, request: web.Request) -> web.StreamResponse:
        check_key(request)
        found = [{"id": talk} for talk, user in self.users.items() if user == request.query.get("user")]
        return web.json_response({"data": found[::-1][: int(request.query.get("limit", "20"))]})
