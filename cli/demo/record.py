"""The record of a demo: every webhook, call and reply, with times in milliseconds since 1970."""

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
    discarded: bool = False


@dataclass
class Call:
    """One call to the agent. `ended_ms` is None, and `replies` is empty, until the agent has answered."""

    person: str
    message_ids: tuple[str, ...]
    key: str
    begun_ms: float
    ended_ms: float | None = None
    replies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bubble:
    """One message of the bot that the gateway got, and the person saw."""

    person: str
    text: str
    message_id: str
    at_ms: float


@dataclass
class Record:
    """All webhooks, calls and bubbles in the order of their times.

    `taken_ms` is when the webhook had accepted the human's message, `killed_ms` when the worker was killed. `doubts`
    are the ids that `debouncer doubt` listed each time that it was called. `echoes` counts the bot's own messages that
    came back as webhooks.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    bubbles: list[Bubble] = field(default_factory=list)
    taken_ms: float | None = None
    killed_ms: float | None = None
    doubts: list[tuple[str, ...]] = field(default_factory=list)
    echoes: int = 0

    def webhooks_by_process(self) -> Counter[int]:
        """Return the number of webhooks that each process received."""
        return Counter(delivery.pid for delivery in self.deliveries)

    def calls_of(self, person: str) -> list[Call]:
        """Return the calls for one person."""
        return [call for call in self.calls if call.person == person]

    def bubbles_of(self, person: str) -> list[Bubble]:
        """Return what one person saw of the bot."""
        return [bubble for bubble in self.bubbles if bubble.person == person]

    def late_ms(self, call: Call) -> float:
        """Return how late a call began after the deadline of its last message, or after the reply before it."""
        deadlines = [
            delivery.deadline_ms
            for delivery in self.deliveries
            if delivery.step.message_id in call.message_ids and not delivery.duplicate
        ]
        before = [other.ended_ms for other in self.calls_of(call.person) if other is not call and other.ended_ms]
        before += [bubble.at_ms for bubble in self.bubbles_of(call.person)]
        return call.begun_ms - max([*deadlines, *(ended for ended in before if ended <= call.begun_ms)], default=0.0)
