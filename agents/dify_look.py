"""Finds out whether Dify has answered a batch already. Nothing in its API is idempotent, but it tells what was said.

The conversation's own messages are looked through. Before the first answer its id is unknown: then the newest
conversation of the person is taken.
"""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from agents.base import AgentRequest, AgentResponse, Ask, Looked, Missing, Running
from agents.memory import pack_memory, read_memory
from agents.results import AgentReply
from agents.said import said, with_address
from agents.spoken import read_object, word
from agents.thinking import strip_think
from gateways.sending import Part

MESSAGES, CONVERSATIONS = "/messages", "/conversations"
SLACK_S = 5
"""Seconds that Dify's clock may be behind ours."""


def look_request(ask: Ask) -> AgentRequest:
    """Return the request for the messages of the conversation, or for the newest conversation."""
    kept = read_memory(ask).kept
    if isinstance(kept, str) and kept:
        return _messages_of(ask, kept)
    return _get(ask, CONVERSATIONS, {"limit": "1", "sort_by": "-created_at"})


def look_read(ask: Ask, request: AgentRequest, response: AgentResponse) -> Looked:
    """Read what Dify tells. A conversation that is gone, or an error, is no trace of the batch."""
    if not 200 <= response.status < 300:
        return Missing()
    found = read_object(response).get("data")
    entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    if request.url.partition("?")[0].endswith(CONVERSATIONS):
        first = word(entries[0], "id") if entries else ""
        return _messages_of(ask, first) if _is_id(first) else Missing()
    return next((_answer(ask, entry) for entry in entries if _is_ours(ask, entry)), Missing())


def _is_ours(ask: Ask, entry: dict[str, Any]) -> bool:
    """Return True for a message with the words of the batch that Dify got after the batch was closed."""
    texts = {said(ask.batch, with_address).text, said(ask.batch, lambda _: False).text}
    created_s = entry.get("created_at")
    return (
        word(entry, "query") in texts
        and isinstance(created_s, int | float)
        and created_s >= ask.batch.closed_ms / 1000 - SLACK_S
    )


def _answer(ask: Ask, entry: dict[str, Any]) -> Looked:
    text, status = word(entry, "answer"), entry.get("status", "normal")
    if status == "error":
        return Missing()
    if not text.strip():
        return Running()
    memory = pack_memory(ask, read_memory(ask).session, word(entry, "conversation_id") or None)
    said_text = strip_think(text) if ask.target.strip_think else text
    return AgentReply((Part(text=said_text),) if said_text.strip() else (), memory=memory)


def _messages_of(ask: Ask, conversation_id: str) -> AgentRequest:
    return _get(ask, MESSAGES, {"conversation_id": conversation_id, "limit": "5"})


def _get(ask: Ask, path: str, query: dict[str, str]) -> AgentRequest:
    base = ask.target.url.rstrip("/").removesuffix("/chat-messages")
    url = f"{base}{path}?{urlencode({'user': read_memory(ask).session, **query})}"
    return AgentRequest(url, headers={"authorization": f"Bearer {ask.target.key}"}, method="GET")


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
