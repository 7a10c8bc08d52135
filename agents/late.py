"""Reads the answer that an agent has posted after its call, and knows the response that announces one."""

from __future__ import annotations

from dataclasses import replace

from agents import generic, n8n
from agents.base import AgentResponse, Ask
from agents.results import AgentReply
from agents.spoken import read_spoken

ACCEPTED = 202


def announced(reply: AgentReply, status: int) -> AgentReply:
    """Return the reply, marked as one whose answer comes later if it was a 202 without an answer."""
    is_later = status == ACCEPTED and not reply.parts and not reply.handoff
    return replace(reply, comes_later=True) if is_later else reply


def read_late(kind: str, ask: Ask, content_type: str, body: bytes) -> AgentReply:
    """Read an answer that was posted, as that of a 200. Kinds other than `generic` take what n8n takes."""
    response = AgentResponse(200, {"content-type": content_type}, body)
    if kind == "generic":
        return generic.read_answer(content_type, body)
    result = n8n.read(ask, response) if kind == "n8n" else read_spoken(response, n8n.SILENT)
    return result if isinstance(result, AgentReply) else AgentReply(not_understood="an answer that tells of an error")
