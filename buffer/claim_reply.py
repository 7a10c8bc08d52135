"""The batches in the reply of lua/claim.lua for one conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from buffer.models import Batch, Conversation, EndedBatch, EndedOutcome, PostedAnswer, Reason
from buffer.stored_message import decode_messages

ENDED_OUTCOMES: dict[bytes, EndedOutcome] = {outcome.encode(): outcome for outcome in get_args(EndedOutcome)}
REASONS: dict[bytes, Reason] = {reason.encode(): reason for reason in Reason}


def read_ended(reply: Sequence[Any]) -> EndedBatch:
    """Return the batch that the claim itself ended."""
    outcome, flush_id, messages, attempts, error, *conversation = reply[1:9]
    return EndedBatch(
        outcome=ENDED_OUTCOMES[outcome],
        flush_id=_text(flush_id),
        messages=int(messages),
        attempts=int(attempts),
        error=_text(error),
        conversation=Conversation(*map(_text, conversation)),
    )


def read_batch(reply: Sequence[Any]) -> Batch:
    """Return the batch that was claimed."""
    token, flush_id, attempt, failures, crashes, reason, closed_ms, separator, answer = reply[1:10]
    next_part, last_part, doubted_part = map(int, reply[10:13])
    gateway, channel, peer, name = map(_text, reply[13:17])
    entries = reply[22::2]
    messages = decode_messages(entries, reply[23::2])
    received = [message.received_ms for message in messages] or [int(closed_ms)]
    return Batch(
        token=_text(token),
        flush_id=_text(flush_id),
        attempt=int(attempt),
        failures=int(failures),
        reason=REASONS.get(reason, Reason.QUIET),
        conversation=Conversation(gateway, channel, peer),
        name=name or None,
        opened_ms=min(received),
        last_ms=max(received),
        closed_ms=int(closed_ms),
        separator=_text(separator),
        answer=answer or None,
        messages=messages,
        crashes=int(crashes),
        skipped=len(entries) - len(messages),
        next_part=next_part,
        last_part=last_part,
        doubted_part=doubted_part,
        memory=reply[17],
        awaited=bool(reply[18]),
        posted=PostedAnswer(_text(reply[20]), reply[19]) if reply[19] or reply[20] else None,
        supersedes=tuple(_text(reply[21]).split()),
    )


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
