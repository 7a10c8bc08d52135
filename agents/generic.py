"""The kind `generic`: an agent that reads our body (docs/invariants.md#body) and answers as docs/answers.md says."""

from __future__ import annotations

from agents.answer_body import read_body
from agents.base import AgentKind, AgentRequest, AgentResponse, Ask
from agents.burst_body import render_burst
from agents.http_errors import DEAD_STATUSES, retry_after
from agents.results import AgentFailure, AgentReply, AgentResult
from gateways.base import BadRequest
from gateways.fields import read_json
from gateways.sending import Part


def request(ask: Ask) -> AgentRequest:
    """Return the body, the same bytes in every attempt."""
    return AgentRequest(ask.target.url, render_burst(ask.batch))


def read(ask: Ask, response: AgentResponse) -> AgentResult:
    """Read a response."""
    if 200 <= response.status < 300:
        return read_answer(response.headers.get("content-type", ""), response.body)
    return AgentFailure(
        f"the agent answered {response.status}",
        dead=response.status in DEAD_STATUSES,
        retry_after_s=retry_after(response.headers.get("retry-after", "")),
    )


def read_answer(content_type: str, content: bytes) -> AgentReply:
    """Read a 2xx body: JSON (agents/answer_body.py), text/plain, or an empty body for no reply."""
    kind = content_type.partition(";")[0].strip().lower()
    if not content.strip():
        return AgentReply()
    if kind == "text/plain":
        return AgentReply((Part(text=content.decode("utf-8", "replace")),))
    try:
        parsed = read_json(content)
    except BadRequest:
        return AgentReply(not_understood=_not_json(kind))
    return AgentReply(*read_body(parsed))


def _not_json(kind: str) -> str:
    if kind in ("text/html", "application/xhtml+xml"):
        return "an HTML page: is AGENT_URL the address of the agent itself, and not of a page or a login?"
    return f"a body of type {kind[:60] or 'unknown'} that is not JSON"


KIND = AgentKind(request, read)
