"""The record of a demo: every webhook and every call, with times in milliseconds since 1970."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from cli.demo.script import Step


@dataclass(frozen=True)
class Delivery:
    """One webhook, from its HTTP response and the log of the process that received it."""

    step: Step
    sent_ms: float
    pid: int
    duplicate: bool
    deadline_ms: int


@dataclass
class Call:
    """One call to the agent. `ended_ms` is None until the agent has answered."""

    person: str
    message_ids: tuple[str, ...]
    key: str
    begun_ms: float
    ended_ms: float | None = None


@dataclass
class Record:
    """All webhooks and calls in the order of their times."""

    deliveries: list[Delivery] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def webhooks_by_process(self) -> Counter[int]:
        """Return the number of webhooks that each process received."""
        return Counter(delivery.pid for delivery in self.deliveries)

    def calls_of(self, person: str) -> list[Call]:
        """Return the calls for one person."""
        return [call for call in self.calls if call.person == person]

    def late_ms(self, call: Call) -> float:
        """Return how late a call began after the deadline of its last message, or after the person's previous call."""
        deadlines = [
            delivery.deadline_ms
            for delivery in self.deliveries
            if delivery.step.message_id in call.message_ids and not delivery.duplicate
        ]
        before = [other.ended_ms for other in self.calls_of(call.person) if other is not call and other.ended_ms]
        return call.begun_ms - max([*deadlines, *(ended for ended in before if ended <= call.begun_ms)], default=0.0)
