"""What the model knows of a conversation: its messages, its batch, its parts, and what it remembers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class ModelMessage(NamedTuple):
    """A message that was accepted."""

    id: str
    order_ms: int
    received_ms: int
    size: int
    keyword: bool
    window_ms: int


@dataclass(slots=True)
class Parts:
    """The parts of an answer: the number of the next one, and what is known of it."""

    prints: tuple[bytes, ...]
    next: int = 1
    last: int = 1
    sending: bool = False
    seen: bool = False
    since_ms: int | None = None
    slot_ms: int | None = None
    begun: bool = False

    def clear(self) -> None:
        """Nothing is under way, or kept for the next part."""
        self.sending = self.seen = False
        self.since_ms = self.slot_ms = None

    def advance(self) -> None:
        self.clear()
        self.next += 1


@dataclass(slots=True)
class Sealed:
    """A batch: what it holds never changes; the rest is the state of its delivery."""

    messages: list[ModelMessage]
    reason: str
    closed_ms: int
    name: str | None
    flush_id: str = ""
    answer: bytes | None = None
    answered_by: int = 0
    parts: Any = None
    claims: int = 0
    failures: int = 0
    crashes: int = 0
    token: str | None = None
    lease_until_ms: int = 0
    retry_at_ms: int = 0
    cancelled: bool = False
    opened_ms: int = 0
    waited_ms: int = 0
    supersedes: tuple[str, ...] = ()
    is_superseded: bool = False
    marked: list[ModelMessage] = field(default_factory=list)
    """What goes back, as the mark tells it: it counts with the burst even when the batch has been lost since."""
    is_redriven: bool = False
    new_memory: bytes = b""
    """What the agent keeps, once the person has a part of its answer."""

    @property
    def is_begun(self) -> bool:
        """Was a part of its answer ever marked, or is there an answer without parts?"""
        return self.parts.begun if self.parts else self.answer is not None


LASTING = ("messages", "reason", "closed_ms", "name", "flush_id", "answer", "answered_by", "parts", "supersedes")
"""What of a batch outlives its becoming a dead letter."""


@dataclass(slots=True)
class Talk:
    """One conversation."""

    known: bool = False
    name: str | None = None
    buffer: list[ModelMessage] = field(default_factory=list)
    opened_ms: int = 0
    deadline_ms: int = 0
    window_ms: int = 0
    is_held: bool = False
    has_let_go: bool = False
    presence_ms: int | None = None
    fired: str | None = None
    supersedes: tuple[str, ...] = ()
    unrecorded: list[int] = field(default_factory=list)
    crashes: int = 0
    batch: Sealed | None = None
    redrive: list[str] = field(default_factory=list)
    seen: list[tuple[str, int, bytes]] = field(default_factory=list)
    paused_until_ms: int = 0
    takeover: bool = False
    fence: int = 0
    done: tuple[str, str] = ("", "")
    idle_since_ms: int | None = None
    rate_ms: int = 0
    last_sealed_ms: int | None = None
    acked_ms: int | None = None
    turn_split: bool = False
    sealed_turn_split: bool = False
    memory: bytes = b""
