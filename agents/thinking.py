"""Removes the reasoning that some open models put before their answer."""

from __future__ import annotations

from dataclasses import replace

from agents.results import AgentReply

OPENING, CLOSING = "<think>", "</think>"


def without_thinking(reply: AgentReply) -> AgentReply:
    """Return the reply without the `<think>` block at the start of each text. Texts of nothing else are left out."""
    parts = []
    for part in reply.parts:
        text = strip_think(part.text) if part.kind == "text" and part.text else part.text
        if part.kind != "text" or (text and text.strip()):
            parts.append(part._replace(text=text))
    return replace(reply, parts=tuple(parts))


def strip_think(text: str) -> str:
    """Return a text without its `<think>` block. A block without an end is the whole text."""
    said = text.lstrip()
    while said[: len(OPENING)].lower() == OPENING:
        said = said.lower().partition(CLOSING)[1] and said[said.lower().index(CLOSING) + len(CLOSING) :].lstrip()
    return said if said != text.lstrip() else text
