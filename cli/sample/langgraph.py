"""A sample of a LangGraph server with one assistant."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from cli.sample.base import KEY, SampleAgent, Wrong, body_of, check_key, text_in

FIELDS = frozenset(
    {"assistant_id", "input", "if_not_exists", "multitask_strategy", "on_disconnect", "metadata", "config", "webhook"}
)


class SampleLangGraph(SampleAgent):
    """Modes: error-200, interrupt, busy, html."""

    modes = ("error-200", "interrupt", "busy")

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.threads: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the addresses of a run and of the state of a thread."""
        return [
            web.post("/threads/{thread}/runs/wait", self._run),
            web.get("/threads/{thread}/state", self._state),
        ]

    async def _run(self, request: web.Request) -> web.StreamResponse:
        thread = self._thread(request)
        body = await body_of(request)
        if unknown := body.keys() - FIELDS:
            raise Wrong(422, f"unknown field {sorted(unknown)[0]}")
        if text_in(body, "assistant_id") != "agent":
            raise Wrong(404, "Assistant not found")
        if self.mode == "busy":
            raise Wrong(409, "Thread is already running a task.")
        if self.mode == "error-200":
            return web.json_response({"__error__": {"error": "ValueError", "message": "boom"}})
        return web.json_response(await self._answered(thread, (body.get("input") or {}).get("messages")))

    async def _answered(self, thread: str, given: Any) -> dict[str, Any]:
        if not isinstance(given, list) or len(given) != 1 or given[0].get("role") != "user":
            raise Wrong(422, "`input.messages` must have one message of the user")
        message = {"type": "human", "id": text_in(given[0], "id"), "content": text_in(given[0], "content")}
        kept = self.threads[thread]
        if message["id"] not in [one.get("id") for one in kept]:
            kept.append(message)
        kept.append({"type": "ai", "id": uuid.uuid4().hex, "content": await self.turn(thread, message["content"])})
        return {"messages": kept, **({"__interrupt__": []} if self.mode == "interrupt" else {})}

    async def _state(self, request: web.Request) -> web.StreamResponse:
        thread = self._thread(request)
        if thread not in self.threads:
            raise Wrong(404, "Thread not found")
        return web.json_response({"values": {"messages": self.threads[thread]}})

    def _thread(self, request: web.Request) -> str:
        check_key(request, "x-api-key", KEY)
        try:
            return str(uuid.UUID(request.match_info["thread"]))
        except ValueError:
            raise Wrong(422, "the thread's id must be a UUID") from None
