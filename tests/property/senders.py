"""Workers that send the parts of an answer, and the parts that a gateway has taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from buffer.reply_models import SendLimits

TEXTS = ("", "sim", "não", "até logo")
"""Texts of parts; one without a text is media."""

LIMITS = {
    "none": SendLimits(),
    "channel": SendLimits(channel_interval_ms=30_000, probe_ms=60_000),
    "person": SendLimits(person_interval_ms=50_000, person_burst=2),
}


@dataclass
class Sender:
    """What a worker knows: the next part, whether that is marked, and what became of its request."""

    who: str
    token: str
    flush_id: str
    next: int
    last: int
    prints: tuple[bytes, ...] = ()
    is_answered: bool = False
    is_over: bool = False
    is_marked: bool = False
    has_left: bool = False
    own_id: str | None = None
    message_id: str | None = None

    @property
    def may_begin(self) -> bool:
        return self.is_answered and not self.is_over and not self.is_marked and self.next <= self.last

    @property
    def is_done(self) -> bool:
        return self.is_answered and self.next > self.last and not self.is_marked


class SentPart(NamedTuple):
    """A part that a gateway has taken."""

    who: str
    part: tuple[str, int]
    text: str
    message_id: str
    own_id: str | None
    left_ms: int
