"""A sample of an OpenAI-compatible server. It keeps nothing: what it knows stands in the request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from cli.sample.base import SampleAgent, Wrong, body_of, check_key, text_in

KNOWN = frozenset({"model", "messages", "stream", "temperature", "top_p", "seed", "user"})
HISTORY_MAX = 65_536


class SampleOpenAI(SampleAgent):
    """Modes: quota, throttled, overloaded, error-200, think, tools, html."""

    modes = ("quota", "throttled", "overloaded", "error-200", "think", "tools")

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the address of chat completions."""
        return [web.post("/v1/chat/completions", self._complete)]

    def refusal(self, wrong: Wrong) -> web.StreamResponse:
        """Return an error as OpenAI writes it."""
        code = str(wrong) if wrong.status in (429, 503) else "invalid_request"
        error = {"message": str(wrong), "type": code, "code": code}
        headers = {"Retry-After": "1"} if code == "rate_limit_exceeded" else {}
        return web.json_response({"error": error}, status=wrong.status, headers=headers)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        check_key(request)
        body = await body_of(request)
        text_in(body, "model")
        if unknown := body.keys() - KNOWN:
            raise Wrong(400, f"Unrecognized request argument: {sorted(unknown)[0]}")
        texts = _said(body.get("messages"))
        failures = {"quota": 429, "throttled": 429, "overloaded": 503}
        if self.mode in failures:
            codes = {"quota": "insufficient_quota", "throttled": "rate_limit_exceeded", "overloaded": "overloaded"}
            raise Wrong(failures[self.mode], codes[self.mode])
        if self.mode == "error-200":
            return web.json_response({"error": {"message": "no credit", "code": 402}})
        self.turns["openai"] = texts[:-1]
        return web.json_response(self._completion(await self.turn("openai", texts[-1])))

    def _completion(self, answer: str) -> dict[str, Any]:
        content = f"<think>let me see</think>\n\n{answer}" if self.mode == "think" else answer
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if self.mode == "tools":
            message |= {"content": None, "tool_calls": [{"id": "1", "type": "function"}]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": {"total_tokens": 1}}


def _said(messages: Any) -> list[str]:
    """Return what the person said, oldest first. Raises Wrong unless whole turns stand in their order."""
    if not isinstance(messages, list) or not messages:
        raise Wrong(400, "`messages` must be a list that is not empty")
    spoken = messages[1:] if messages[0].get("role") == "system" else messages
    wanted = ["user", "assistant"] * (len(spoken) // 2) + ["user"]
    if [message.get("role") for message in spoken] != wanted:
        raise Wrong(400, "roles must alternate, and end with user")
    texts = [_text(message.get("content")) for message in messages]
    if not all(texts) or sum(len(text.encode()) for text in texts) > HISTORY_MAX:
        raise Wrong(400, "a message is empty, or the history is too long")
    return [_text(message["content"]) for message in spoken if message["role"] == "user"]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(piece.get("text", "")) for piece in content)
    return content if isinstance(content, str) else ""
