"""The seam to the Lua scripts that look at a person and erase them, as buffer/script_calls.py. No function does I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buffer.insight_models import ConversationView, HeldMessage
from buffer.keys import Ref
from buffer.models import PLAIN_KIND, Conversation, StoredMessage
from buffer.stored_message import decode_messages

Args = list[Any]


class ErasedKeys(NamedTuple):
    """What one call of erase.lua deleted, the id of the record that tells of it, and all hashes of the person."""

    conversations: int
    messages: int
    dead_letters: int
    doubts: int
    record_id: str
    names: list[str]


def look_args(ref: Ref, limit: int, max_wait_ms: int) -> Args:
    """Return the arguments of look.lua. `limit` messages of the burst and of the batch are returned."""
    return [ref.hash, limit, max_wait_ms]


def read_look(ref: Ref, reply: Sequence[Any]) -> ConversationView | None:
    """Return what the conversation holds, or None if it is unknown. Messages that cannot be read are left out."""
    if not reply:
        return None
    now_ms, state, due_ms, burst_messages, batch_messages, flat, burst, batch = reply
    fields = {flat[at].decode(): flat[at + 1] for at in range(0, len(flat), 2)}
    return ConversationView(
        ref=_text(fields, "ref") or str(ref),
        conversation=Conversation(*(_text(fields, name) for name in ("gateway", "channel", "peer"))),
        name=_text(fields, "name"),
        state=state.decode(),
        now_ms=int(now_ms),
        opened_ms=_number(fields, "opened_ms"),
        deadline_ms=_number(fields, "deadline_ms"),
        cap_ms=_number(fields, "cap_ms"),
        due_ms=int(float(due_ms)) or None,
        flush_id=_text(fields, "flush_id"),
        reason=_text(fields, "reason") or _text(fields, "fired"),
        closed_ms=_number(fields, "closed_ms"),
        attempts=_number(fields, "claims") or 0,
        next_part=_number(fields, "next_part") or 0,
        parts=_number(fields, "parts") or 0,
        paused_until_ms=_number(fields, "paused_until_ms"),
        pause_mode=_text(fields, "pause_mode"),
        burst_messages=int(burst_messages),
        batch_messages=int(batch_messages),
        burst=held_messages(burst),
        batch=held_messages(batch),
    )


def held_messages(entries: Sequence[bytes]) -> list[HeldMessage]:
    """Return stored messages for people."""
    return [_held(stored) for stored in decode_messages(entries, [b""] * len(entries))]


def _held(stored: StoredMessage) -> HeldMessage:
    fields = {**stored.fields, **(stored.edit or {})}
    has_media = fields.get("media") is not None
    return HeldMessage(stored.received_ms, fields.get("kind", PLAIN_KIND), fields.get("text"), has_media)


def erase_args(names: Sequence[str], ids: Sequence[str], gateway: str, channel: str, record_id: str = "") -> Args:
    """Return the arguments of erase.lua: hashes of the person, and ids of their dead letters and parts in doubt.

    Gateway and channel stand in the record. Empty, they are those of the conversation. `record_id` is that of the
    record which an earlier call of the same erase has made: there is one for all calls.
    """
    return [gateway, channel, record_id, len(names), *names, *ids]


def read_erase(reply: Sequence[Any]) -> ErasedKeys:
    """Return what was deleted."""
    *counts, record_id = reply[:5]
    conversations, messages, dead_letters, doubts = map(int, counts)
    return ErasedKeys(
        conversations, messages, dead_letters, doubts, record_id.decode(), [name.decode() for name in reply[5:]]
    )


def forget_records_args(kind: str, ids: Sequence[str]) -> Args:
    """Return the arguments of forget_records.lua: the kind of the stream, and the ids of the records to delete."""
    return [kind, *ids]


def read_forget_records(reply: int) -> int:
    """Return how many records there were."""
    return int(reply)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value: bytes = fields.get(name, b"")
    return value.decode("utf-8", "replace")


def _number(fields: Mapping[str, Any], name: str) -> int | None:
    """Return a number of a field that Lua may have given as an integer, None without one."""
    value = fields.get(name)
    return None if value is None else int(float(value))
