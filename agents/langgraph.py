"""The kind `langgraph`: a LangGraph server. The thread keeps the history; the message's id keeps a repeat harmless."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from agents.base import AgentKind, AgentRequest, AgentResponse, Ask, Look, Looked, Missing
from agents.http_errors import http_failure
from agents.memory import pack_memory, read_memory
from agents.results import AgentReply, AgentResult, later
from agents.said import nothing, said
from agents.spoken import inner, read_object, word
from agents.thinking import strip_think
from gateways.sending import Part

BUSY = frozenset({409, 422})
"""HTTP statuses of a thread that still runs (`multitask_strategy`: reject)."""


def thread_of(session: str) -> str:
    """Return the id of the thread, the same for every call of a session."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, session))


def request(ask: Ask) -> AgentRequest:
    """Return a run on the thread of the conversation, with the flush's id as that of the message.

    A run of a flush that this one replaces may be under way still: the server undoes it.
    """
    flush_id, supersedes = ask.batch.flush_id, ask.batch.supersedes
    message = {"role": "user", "content": said(ask.batch, nothing).text, "id": flush_id}
    body = {
        "assistant_id": ask.target.model or "agent",
        "input": {"messages": [message]},
        "if_not_exists": "create",
        "multitask_strategy": "rollback" if supersedes else "reject",
        "on_disconnect": "continue",
        "metadata": {"flush_id": flush_id, **({"supersedes": supersedes} if supersedes else {})},
    }
    url = f"{ask.target.url.rstrip('/')}/threads/{thread_of(read_memory(ask).session)}/runs/wait"
    return AgentRequest(url, orjson.dumps(body), {"x-api-key": ask.target.key} if ask.target.key else {})


def read(ask: Ask, response: AgentResponse) -> AgentResult:
    """Read the final state of a run. The answer's memory is the name of the session."""
    if response.status in BUSY:
        return later("the thread still runs")
    if not 200 <= response.status < 300:
        return http_failure(response)
    fields = read_object(response)
    if failed := inner(fields, "__error__"):
        return later(f"the graph failed: {word(failed, 'error')[:60] or 'an error'}")
    return _state(ask, fields)


def _state(ask: Ask, fields: dict[str, Any]) -> AgentReply:
    memory = pack_memory(ask, read_memory(ask).session)
    messages = fields.get("messages")
    if not isinstance(messages, list):
        return AgentReply(not_understood="a state without `messages`", memory=memory)
    if "__interrupt__" in fields:
        return AgentReply(not_understood="the graph was interrupted and waits for a person", memory=memory)
    return AgentReply(tuple(_parts(ask, messages)), memory=memory)


def _parts(ask: Ask, messages: list[Any]) -> list[Part]:
    """Return the texts of the agent after our message."""
    ids = [message.get("id") if isinstance(message, dict) else None for message in messages]
    begin = ids.index(ask.batch.flush_id) + 1 if ask.batch.flush_id in ids else len(messages)
    texts = [_text(message) for message in messages[begin:] if isinstance(message, dict)]
    texts = [strip_think(text) if ask.target.strip_think else text for text in texts]
    return [Part(text=text) for text in texts if text.strip()]


def _text(message: dict[str, Any]) -> str:
    if message.get("type") != "ai" or message.get("tool_calls"):
        return ""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(word(piece, "text") for piece in content if isinstance(piece, dict))
    return content if isinstance(content, str) else ""


def look_request(ask: Ask) -> AgentRequest:
    """Return the request for the state of the thread."""
    url = f"{ask.target.url.rstrip('/')}/threads/{thread_of(read_memory(ask).session)}/state"
    return AgentRequest(url, headers={"x-api-key": ask.target.key} if ask.target.key else {}, method="GET")


def look_read(ask: Ask, request: AgentRequest, response: AgentResponse) -> Looked:
    """Return the answer to the batch if the thread has one."""
    messages = inner(read_object(response), "values").get("messages")
    if not 200 <= response.status < 300 or not isinstance(messages, list):
        return Missing()
    parts = tuple(_parts(ask, messages))
    return AgentReply(parts, memory=pack_memory(ask, read_memory(ask).session)) if parts else Missing()


KIND = AgentKind(request, read, look=Look(look_request, look_read))
