"""The kind `openai`: chat completions of OpenAI and everything compatible. The history is ours."""

from __future__ import annotations

from typing import Any

import orjson

from agents.base import AgentKind, AgentRequest, AgentResponse, Ask
from agents.http_errors import http_failure, retry_after
from agents.memory import pack_memory, read_memory
from agents.results import Again, AgentFailure, AgentReply, AgentResult, later, misconfigured, refused
from agents.said import File, nothing, said
from agents.spoken import inner, is_page, read_object, word
from agents.thinking import strip_think
from gateways.sending import Part

Turn = list[str]
"""What the person said and what the agent answered."""

QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
ENDPOINT = "/chat/completions"


def request(ask: Ask) -> AgentRequest:
    """Return the system prompt, the turns that are kept, and what the person says now."""
    target = ask.target
    system = [{"role": "system", "content": target.system_prompt}] if target.system_prompt else []
    past = [
        {"role": role, "content": text}
        for turn in turns_of(ask)
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    messages = [*system, *past, {"role": "user", "content": _content(ask)}]
    body = {"model": target.model, "messages": messages, "stream": False, **target.params}
    url = target.url.rstrip("/").removesuffix(ENDPOINT) + ENDPOINT
    return AgentRequest(url, orjson.dumps(body), {"authorization": f"Bearer {target.key}"} if target.key else {})


def read(ask: Ask, response: AgentResponse) -> AgentResult:
    """Read a response. The memory of an answer has the new turn."""
    if is_page(response):
        return misconfigured(f"the agent answered {response.status} with an HTML page: AGENT_URL must end in /v1 or so")
    fields = read_object(response)
    if not 200 <= response.status < 300 or fields.get("error"):
        return _failed(ask, response, fields)
    choices = fields.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    return _answer(ask, inner(choice, "message"), choice.get("finish_reason"))


def turns_of(ask: Ask) -> list[Turn]:
    """Return the turns that are kept, the oldest first."""
    kept = read_memory(ask).kept
    turns = kept if isinstance(kept, list) else []
    return [
        turn for turn in turns if isinstance(turn, list) and len(turn) == 2 and all(isinstance(t, str) for t in turn)
    ]


def _content(ask: Ask) -> str | list[dict[str, Any]]:
    found = said(ask.batch, _is_image if ask.with_files else nothing)
    if not found.files:
        return found.text
    images = [{"type": "image_url", "image_url": {"url": file.url or file.data_url}} for file in found.files]
    return [{"type": "text", "text": found.text}, *images]


def _is_image(file: File) -> bool:
    return file.kind == "image" and bool(file.url or file.base64)


def _answer(ask: Ask, message: dict[str, Any], finish: Any) -> AgentResult:
    if finish == "content_filter":
        return refused("the model's content filter stopped the answer")
    text = _text(message.get("content")) or word(message, "refusal")
    if not text and message.get("tool_calls"):
        return refused("this agent wants to call tools: use n8n or an agent of your own")
    if ask.target.strip_think:
        text = strip_think(text)
    if not text.strip():
        return AgentReply(not_understood="a completion without text")
    note = "the answer was cut at the model's limit" if finish == "length" else None
    turns = [*turns_of(ask), [said(ask.batch, nothing).text, text]]
    return AgentReply((Part(text=text),), not_understood=note, memory=_pack(ask, turns))


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(word(piece, "text") for piece in content if isinstance(piece, dict))
    return content if isinstance(content, str) else ""


def _pack(ask: Ask, turns: list[Turn]) -> bytes:
    """Return the memory with as many of the newest turns as fit, always whole ones."""
    target = ask.target
    kept = turns[len(turns) - min(len(turns), target.memory_turns) :]
    while kept and len(orjson.dumps(kept)) > target.memory_bytes:
        kept = kept[1:]
    return pack_memory(ask, read_memory(ask).session, kept)


def _failed(ask: Ask, response: AgentResponse, fields: dict[str, Any]) -> AgentResult:
    error = inner(fields, "error")
    code, status = str(error.get("code") or error.get("type") or ""), response.status
    if 200 <= status < 300:
        status = int(code) if code.isdecimal() else 500
    where = f"the agent answered {status}" + (f" ({code[:60]})" if code else "")
    if status in (400, 422):
        return _bad_request(ask, code, word(error, "message"), where)
    if status in (401, 402, 403, 404) or (status == 429 and QUOTA & {code, word(error, "type")}):
        return misconfigured(f"{where}: {_setting(status)}")
    if status in (413, 415):
        return refused(where)
    if status < 500 and status not in (408, 409, 429):
        return http_failure(response._replace(status=status))
    return later(where, retry_after(response.headers.get("retry-after", "")))


def _setting(status: int) -> str:
    return {404: "see AGENT_MODEL and AGENT_URL", 401: "see AGENT_KEY", 403: "see AGENT_KEY"}.get(
        status, "its account has no credit"
    )


def _bad_request(ask: Ask, code: str, message: str, where: str) -> AgentResult:
    about = f"{code} {message}".lower()
    turns = turns_of(ask)
    if "context_length" in about or "maximum context" in about:
        if not turns:
            return refused(f"{where}: what the person wrote is longer than the model takes")
        return Again("the history was longer than the model takes", _pack(ask, turns[(len(turns) + 1) // 2 :]))
    if "image" in about and ask.with_files and said(ask.batch, _is_image).files:
        return Again("the model does not take the image", ask.memory, with_files=False)
    if "content" in about and ("policy" in about or "filter" in about):
        return refused(where)
    return AgentFailure(f"{where}: see AGENT_MODEL and AGENT_PARAMS", misconfigured=True)


KIND = AgentKind(request, read)
