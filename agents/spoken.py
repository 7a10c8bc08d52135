"""Reads an answer that is loose JSON: the first field of a known name, a list of them, or plain text.

Whatever is no answer is named for the log, and never becomes a part.
"""

from __future__ import annotations

import codecs
from typing import Any

import orjson

from agents.answer_body import PARTS_MAX, read_body
from agents.base import AgentResponse
from agents.results import AgentReply
from gateways.base import BadRequest
from gateways.fields import read_json

NAMES = ("replies", "reply", "output", "answer", "text", "response", "message")
"""The fields that may hold an answer. The first one that is there counts."""

HTML = frozenset({"text/html", "application/xhtml+xml"})
PAGE_BEGINS = (b"<!doctype", b"<html")


def read_spoken(response: AgentResponse, silent: frozenset[str] = frozenset()) -> AgentReply:
    """Read a 2xx body. A value that stands in `silent` is a sentence of the agent's software, and nobody's reply."""
    if not response.body.strip():
        return AgentReply()
    if is_page(response):
        return AgentReply(not_understood="an HTML page: is AGENT_URL the address of the agent, and not of a login?")
    if response.content_type == "text/plain":
        return read_value(response.body.decode("utf-8", "replace"), silent)
    try:
        return read_value(read_json(response.body), silent)
    except BadRequest:
        kind = response.content_type[:60] or "unknown"
        return AgentReply(not_understood=f"a body of type {kind} that is not JSON")


def is_page(response: AgentResponse) -> bool:
    """Return True for a page for people, whatever the status says."""
    return response.content_type in HTML or _begins_page(response.body)


def read_value(value: Any, silent: frozenset[str]) -> AgentReply:
    """Read parsed JSON: an object, or a list of objects whose answers follow each other."""
    items = value if isinstance(value, list) else [value]
    found: list[Any] = []
    problems = []
    handoff = False
    for item in items[:PARTS_MAX]:
        replies, problem = _replies(item, silent)
        found += replies
        problems += [problem] if problem else []
        handoff |= isinstance(item, dict) and item.get("handoff") is True
    parts, _, not_understood = read_body({"replies": found})
    problems += [not_understood] if not_understood else []
    spoken = tuple(part for part in parts if part.text is None or not _is_of_software(part.text, silent))
    problems += ["a page, or a sentence of the agent's software"] if len(spoken) < len(parts) else []
    return AgentReply(spoken, handoff, "; ".join(problems[:3]) or None)


def _is_of_software(text: str, silent: frozenset[str]) -> bool:
    """Return True for a sentence of the agent's software, and for a page that a workflow has fetched."""
    return text.strip().strip('"') in silent or _begins_page(text.encode())


def _begins_page(body: bytes) -> bool:
    return body[:200].removeprefix(codecs.BOM_UTF8).lstrip()[:15].lower().startswith(PAGE_BEGINS)


def _replies(item: Any, silent: frozenset[str], depth: int = 0) -> tuple[list[Any], str | None]:
    """Return the parts of one item as the agent wrote them, and what was not understood."""
    if not isinstance(item, dict):
        return ([item], None) if isinstance(item, str) and depth == 0 else ([], "an item that is no object")
    name = next((name for name in NAMES if item.get(name) is not None), None)
    if name is None:
        return [], None if item.get("handoff") is True else f"JSON without {', '.join(NAMES)}"
    value = item[name]
    if isinstance(value, str):
        return ([], f"the agent's software said: {value.strip()}") if value.strip() in silent else ([value], None)
    if isinstance(value, list):
        return value, None
    if isinstance(value, dict) and depth == 0 and any(inner in value for inner in NAMES):
        return _replies(value, silent, depth + 1)
    return ([value], None) if isinstance(value, dict) else ([], f"`{name}` is not a text")


def read_object(response: AgentResponse) -> dict[str, Any]:
    """Return the JSON object of a body, an empty one if it is none."""
    try:
        parsed = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def inner(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object of a field, an empty one if it is none."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def word(fields: dict[str, Any], name: str) -> str:
    """Return the text of a field, an empty one if it is none."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""
