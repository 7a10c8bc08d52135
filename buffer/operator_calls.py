"""The seam to the Lua scripts for operators, as buffer/script_calls.py is for the others. No function here does I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from buffer.models import Conversation
from buffer.operator_models import DeadLetter, DeadLetters, DiscardLetterResult, Pending, PendingState

Args = list[Any]

DISCARD_LETTER_RESULTS: dict[bytes, DiscardLetterResult] = {
    result.encode(): result for result in get_args(DiscardLetterResult)
}
PENDING_STATES: dict[bytes, PendingState] = {state.encode(): state for state in get_args(PendingState)}


def snapshot_args(limit: int) -> Args:
    """Return the arguments of snapshot.lua."""
    return [limit]


def read_snapshot(reply: bytes) -> dict[str, Any]:
    """Return the report. Lua leaves empty tables out, because it could not tell an empty list from an empty object."""
    report: dict[str, Any] = {"counters": {}, "conversations": [], "oldest_ms": None}
    report.update(json.loads(reply))
    return report


def pending_args(offset: int, limit: int, hashes: Sequence[str] = ()) -> Args:
    """Return the arguments of pending.lua for a page by its place, or for the conversations with these hashes."""
    return [offset, limit, *hashes]


def read_pending(reply: Sequence[Any]) -> tuple[int, list[Pending]]:
    """Return the time of the server in ms, and the conversations of the page."""
    page = [
        Pending(
            PENDING_STATES[state], _whole(due_ms), int(messages), _conversation(who), _text(ref), int(opened_ms) or None
        )
        for state, due_ms, messages, *who, ref, opened_ms in _groups(reply, 1, 8)
    ]
    return int(reply[0]), page


def dead_letters_args(offset: int, limit: int) -> Args:
    """Return the arguments of dead_letters.lua."""
    return [offset, limit]


def read_dead_letters(reply: Sequence[Any]) -> DeadLetters:
    """Return a page of dead letters."""
    page = [
        DeadLetter(
            flush_id=_text(flush_id),
            died_ms=_whole(died_ms),
            redriven_ms=_whole(redriven_ms) if redriven_ms else None,
            conversation=_conversation(who),
            error=_text(error),
            messages=int(messages),
            attempts=_whole(attempts),
        )
        for flush_id, died_ms, redriven_ms, *who, error, messages, attempts in _groups(reply, 2, 9)
    ]
    return DeadLetters(int(reply[0]), int(reply[1]), page)


def discard_letter_args(flush_id: str, cause: str) -> Args:
    """Return the arguments of discard_letter.lua. `cause` goes into the record of the discard."""
    return [flush_id, cause]


def read_discard_letter(reply: bytes) -> DiscardLetterResult:
    """Return the result of the discard."""
    return DISCARD_LETTER_RESULTS[reply]


def announce_owner_args(owner: str, forget_ms: int) -> Args:
    """Return the arguments of announce_owner.lua."""
    return [owner, forget_ms]


def read_announce_owner(reply: Sequence[Any]) -> tuple[int, list[tuple[str, int]]]:
    """Return the time of the server in ms, and each owner with the time in ms at which it was last seen."""
    return int(reply[0]), [(_text(owner), _whole(seen_ms)) for owner, seen_ms in _groups(reply, 1, 2)]


def _groups(reply: Sequence[Any], start: int, size: int) -> Iterator[Sequence[Any]]:
    return (reply[i : i + size] for i in range(start, len(reply), size))


def _conversation(who: Sequence[Any]) -> Conversation:
    gateway, channel, peer = map(_text, who)
    return Conversation(gateway, channel, peer)


def _whole(value: Any) -> int:
    """Return a number of ms. Redis may write a score as a float."""
    return int(float(value))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
