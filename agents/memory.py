"""The memory of a conversation with an agent: opaque bytes to the buffer, JSON here.

It keeps the session's name, too. The address of a person can change (a phone number becomes a LID), and an agent must
not take that for another person.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from agents.base import Ask

MEMORY_MAX = 262_144
"""Bytes of one conversation's memory. A larger one is not read, and begins anew."""


class Memory(NamedTuple):
    """The name of the session, and what the kind keeps: None at the first turn and after `memory_ttl_ms`."""

    session: str
    kept: Any = None


def session_of(ask: Ask) -> str:
    """Return the name of a new session: `gateway:channel:peer`."""
    return ":".join(ask.batch.conversation)


def read_memory(ask: Ask) -> Memory:
    """Return the memory of the conversation, a new one if there is none or it cannot be read."""
    try:
        fields = orjson.loads(ask.memory) if 0 < len(ask.memory) <= MEMORY_MAX else {}
        session, kept, at_ms = fields.get("session"), fields.get("kept"), fields.get("at_ms", 0)
        is_old = ask.batch.closed_ms - at_ms > ask.target.memory_ttl_ms
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        session, kept, is_old = None, None, True
    return Memory(session if isinstance(session, str) and session else session_of(ask), None if is_old else kept)


def pack_memory(ask: Ask, session: str, kept: Any = None) -> bytes:
    """Return the memory as it is stored, with the time of the batch that made it."""
    packed = orjson.dumps({"session": session, "kept": kept, "at_ms": ask.batch.closed_ms})
    return packed if len(packed) <= MEMORY_MAX or kept is None else pack_memory(ask, session)
