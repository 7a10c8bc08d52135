"""Makes the stored answer of a batch, from which its parts are sent, and reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from agents.results import AgentReply
from buffer.models import Batch
from buffer.prints import print_of
from gateways.reply_text import ReplyStyle, parts_for
from gateways.sending import Part, Sender

LAST_FIELDS = ("message_id", "participant", "thread", "business_connection_id", "guest_query_id", "return_address")
"""The fields of the last message that a sender may need to address or quote it."""

GROUP_FIELD = "participant"
"""Every message of a group has it, and no other message."""


class StoredAnswer(NamedTuple):
    """The parts to send in order, and what a sender needs to know of the message that they answer."""

    parts: tuple[Part, ...]
    last: Mapping[str, Any]
    is_group: bool
    handoff: bool


def stored_answer(batch: Batch, reply: AgentReply, sender: Sender | None, style: ReplyStyle) -> tuple[bytes, bytes]:
    """Return the answer as JSON, and the prints of its parts.

    Without a sender the answer is kept as the agent gave it, and has no prints: no part is sent.
    """
    parts = reply.parts if sender is None else parts_for(reply.parts, sender, style)
    last = last_fields(batch)
    answer = {
        "parts": [_fields(part) for part in parts],
        "last": last,
        "is_group": GROUP_FIELD in last,
        "handoff": reply.handoff,
        "replies": [_as_given(part) for part in reply.parts],
    }
    return orjson.dumps(answer), b"" if sender is None else prints_of(parts)


def prints_of(parts: Iterable[Part]) -> bytes:
    """Return the prints of the parts, one after the other."""
    return b"".join(print_of(part.text) for part in parts)


def read_stored(answer: bytes) -> StoredAnswer:
    """Read a stored answer. Raises ValueError if it is not one."""
    try:
        fields = orjson.loads(answer)
        parts = tuple(Part(**part) for part in fields["parts"])
        return StoredAnswer(parts, fields["last"], fields["is_group"], fields["handoff"])
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError(f"the stored answer cannot be read ({type(error).__name__})") from None


def last_fields(batch: Batch) -> dict[str, Any]:
    fields = batch.messages[-1].fields if batch.messages else {}
    return {name: fields[name] for name in LAST_FIELDS if name in fields}


def _fields(part: Part) -> dict[str, Any]:
    return {name: value for name, value in part._asdict().items() if value is not None}


def _as_given(part: Part) -> str | dict[str, Any]:
    """Return a part as an agent writes it."""
    if part.kind == "text":
        return part.text or ""
    fields = {part.kind: part.url, "caption": part.text, "filename": part.filename}
    return {name: value for name, value in fields.items() if value is not None}
