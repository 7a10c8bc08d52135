"""The seam to the Lua scripts of replies, as buffer/script_calls.py is for the others. No function here does I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, get_args
from zlib import crc32

from buffer.keys import Ref, fingerprint_of
from buffer.models import Conversation
from buffer.reply_models import (
    Began,
    Doubt,
    DoubtResult,
    Doubts,
    Ending,
    HeldChannel,
    OwnMessage,
    OwnMessageResult,
    PartMark,
    PartOutcome,
    SendLimits,
    Status,
)

Args = list[Any]

PART_MARKS: dict[bytes, PartMark] = {mark.encode(): mark for mark in get_args(PartMark)}
PART_OUTCOMES: dict[bytes, PartOutcome] = {outcome.encode(): outcome for outcome in get_args(PartOutcome)}
OWN_MESSAGE_RESULTS: dict[bytes, OwnMessageResult] = {result.encode(): result for result in get_args(OwnMessageResult)}
DOUBT_RESULTS: dict[bytes, DoubtResult] = {result.encode(): result for result in get_args(DoubtResult)}

HELD_FIELDS = ("since_ms", "reason")
"""Fields of the key kind `held` that people read."""


def tag_of(gateway: str, channel: str) -> str:
    """Return the eight hexadecimal digits that stand for a channel in its partition."""
    return format(crc32(f"{gateway}\0{channel}".encode()), "08x")


def id_of(message_id: str | None) -> bytes:
    """Return the fingerprint of a message id, empty for None."""
    return fingerprint_of(message_id) if message_id else b""


def begin_part_args(parts: Iterable[tuple[str, str, int, bytes, str, SendLimits]]) -> Args:
    """Return the arguments of begin_part.lua for conversations.

    They are the hash of each, the token of its lease, the number of the part, the fingerprint of our own id for it,
    the tag of its channel, and the limits.
    """
    return [*chain.from_iterable((*part[:5], *part[5]) for part in parts)]


def read_begin_part(reply: Sequence[Any]) -> Began:
    """Return the result for one conversation."""
    return Began(PART_MARKS[reply[0]], int(reply[1]) or None)


def end_part_args(parts: Iterable[tuple[str, str, int, str, Ending]]) -> Args:
    """Return the arguments of end_part.lua for conversations.

    They are the hash of each, the token of its lease, the number of the part, the tag of its channel, and how it ended.
    """
    return [*chain.from_iterable((*part[:4], *_ending(part[4])) for part in parts)]


def _ending(ending: Ending) -> Args:
    end, flush_id, message_id, delay_ms, give_up_ms, reason = ending
    return [end, flush_id, id_of(message_id), delay_ms, give_up_ms, reason]


def read_end_part(reply: bytes) -> PartOutcome:
    """Return the result for one conversation."""
    return PART_OUTCOMES[reply]


def own_message_args(ref: Ref, message: OwnMessage) -> Args:
    """Return the arguments of own_message.lua."""
    conversation = message.conversation
    return [
        ref.hash,
        ref.partition,
        *conversation,
        tag_of(conversation.gateway, conversation.channel),
        id_of(message.message_id),
        id_of(message.own_id),
        message.text_print,
        message.action,
        message.pause_ms,
        message.human_pause_ms,
    ]


def read_own_message(reply: bytes) -> OwnMessageResult:
    """Return what the message was."""
    return OWN_MESSAGE_RESULTS[reply]


def part_status_args(gateway: str, channel: str, status: Status) -> Args:
    """Return the arguments of part_status.lua."""
    return [tag_of(gateway, channel), id_of(status.message_id), id_of(status.own_id), status.state, status.reason]


def read_part_status(reply: bytes) -> str | None:
    """Return the part that the status was about, as `<flush_id>.<part>`, or None if no part is known by that id."""
    return reply.decode() or None


def doubts_args(offset: int, limit: int) -> Args:
    """Return the arguments of doubts.lua."""
    return [offset, limit]


def read_doubts(reply: Sequence[Any]) -> Doubts:
    """Return a page of the parts in doubt."""
    now_ms, total, *rest = reply
    return Doubts(int(now_ms), int(total), [_doubt(rest[at : at + 8]) for at in range(0, len(rest), 8)])


def _doubt(row: Sequence[bytes]) -> Doubt:
    doubt_id, since_ms, gateway, channel, peer, reason, number, answer = row
    conversation = Conversation(*(name.decode("utf-8", "replace") for name in (gateway, channel, peer)))
    said = reason.decode("utf-8", "replace")
    return Doubt(doubt_id.decode(), int(float(since_ms)), conversation, said, int(number or 0), answer)


def held_channel_of(gateway: str, channel: str, row: Sequence[bytes | None]) -> HeldChannel:
    """Return a channel whose replies are held, from its HELD_FIELDS."""
    since_ms, reason = row
    return HeldChannel(gateway, channel, int(float(since_ms or 0)), (reason or b"").decode("utf-8", "replace"))


def settle_doubt_args(doubt_id: str, action: str) -> Args:
    """Return the arguments of settle_doubt.lua: the part as `<flush_id>.<part>`, and `send` or `drop`."""
    return [doubt_id, action]


def read_settle_doubt(reply: bytes) -> DoubtResult:
    """Return the result."""
    return DOUBT_RESULTS[reply]
