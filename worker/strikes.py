"""Counts failures of a channel that mean nothing alone, and everything in a row: its connection is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from buffer.models import Conversation
from gateways.sending import InDoubt, Later, Misconfigured, SendResult, Sent

AGAIN_AFTER_S = 30.0
"""How long a channel with too many strikes sends nothing more. Then one part tries it."""

Channel = tuple[str, str]


@dataclass(slots=True)
class Row:
    """The strikes of a channel since its last success, and the people in doubt among them."""

    count: int = 0
    people: set[str] = field(default_factory=set)
    reason: str = ""
    blocked_until_s: float = 0.0


class Strikes:
    """Counts in this process. `clock` is for tests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rows: dict[Channel, Row] = {}

    def blocked(self, conversation: Conversation) -> Misconfigured | None:
        """Return why the channel sends nothing now, or None. After AGAIN_AFTER_S one part may try."""
        row = self._rows.get(conversation[:2])
        if row is None or not row.blocked_until_s:
            return None
        if self._clock() < row.blocked_until_s:
            return Misconfigured(row.reason)
        row.blocked_until_s = self._clock() + AGAIN_AFTER_S
        return None

    def judge(self, conversation: Conversation, result: SendResult) -> SendResult:
        """Count a result. Return it, or Misconfigured for a part that surely had no effect and was a strike too many.

        A part in doubt stays in doubt, but it may block the channel for the next ones.
        """
        if isinstance(result, Sent):
            self._rows.pop(conversation[:2], None)
        elif isinstance(result, Later | InDoubt) and result.strikes:
            return self._count(conversation, result)
        return result

    def _count(self, conversation: Conversation, result: Later | InDoubt) -> SendResult:
        row = self._rows.setdefault(conversation[:2], Row())
        if isinstance(result, InDoubt):
            row.people.add(conversation.peer)
        else:
            row.count += 1
        if max(row.count, len(row.people)) < result.strikes:
            return result
        row.reason = f"{result.reason}, {result.strikes} times in a row"
        row.blocked_until_s = self._clock() + AGAIN_AFTER_S
        return Misconfigured(row.reason) if isinstance(result, Later) else result
