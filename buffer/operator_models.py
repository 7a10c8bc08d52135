"""The data for operators: what is pending, and the dead letters."""

from __future__ import annotations

from typing import Literal, NamedTuple

from buffer.models import Conversation

RedriveResult = Literal["ok", "already", "gone", "unknown"]
"""The result of a redrive (lua/redrive.lua). `gone`: it has lost its messages and can only be discarded."""

DiscardLetterResult = Literal["ok", "unknown"]
"""The result of discarding a dead letter (lua/discard_letter.lua)."""

PendingState = Literal["open", "retry", "in_flight", "replying", "redriven", "paused", "broken"]
"""What a conversation in the wake index waits for (lua/pending.lua)."""


class Pending(NamedTuple):
    """A conversation in the wake index: its state, the time at which it is due, and the number of its messages.

    `opened_ms` is when its open burst began, None without one.
    """

    state: PendingState
    due_ms: int
    messages: int
    conversation: Conversation
    ref: str
    opened_ms: int | None = None


class DeadLetter(NamedTuple):
    """A dead letter, for people. `redriven_ms` is None unless it waits to be delivered again.

    `messages` is 0 if the messages are gone.
    """

    flush_id: str
    died_ms: int
    redriven_ms: int | None
    conversation: Conversation
    error: str
    messages: int
    attempts: int


class DeadLetters(NamedTuple):
    """A page of the dead letters of a partition, with the number of all of them."""

    now_ms: int
    total: int
    page: list[DeadLetter]
