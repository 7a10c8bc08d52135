"""What really happened in a demo: every webhook and every call, with times in milliseconds since 1970."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from cli.demo.script import Step


@dataclass(frozen=True)
class Delivery:
    """One webhook, as its answer and the webhook process's log tell it."""

    step: Step
    sent_ms: float
    pid: int
    duplicate: bool
    deadline_ms: int


@dataclass
class Call:
    """One call that the agent got; `ended_ms` stays None until it has answered."""

    person: str
    message_ids: tuple[str, ...]
    key: str
    begun_ms: float
    ended_ms: float | None = None


@dataclass
class Record:
    """Everything in the order in which it happened."""

    deliveries: list[Delivery] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def webhooks_by_process(self) -> Counter[int]:
        """How many webhooks each process took."""
        return Counter(delivery.pid for delivery in self.deliveries)

    def calls_of(self, person: str) -> list[Call]:
        """The calls for one person."""
        return [call for call in self.calls if call.person == person]

    def late_ms(self, call: Call) -> float:
        """How long after its moment a call began: the deadline of its last message, or the end of the call before."""
        deadlines = [
            delivery.deadline_ms
            for delivery in self.deliveries
            if delivery.step.message_id in call.message_ids and not delivery.duplicate
        ]
        before = [other.ended_ms for other in self.calls_of(call.person) if other is not call and other.ended_ms]
        return call.begun_ms - max([*deadlines, *(ended for ended in before if ended <= call.begun_ms)], default=0.0)
