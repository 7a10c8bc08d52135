"""Replay the turns of a conversation as the product would have seen them, every decision by the product's functions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.wait.conversations import Conversation, Turn
from benchmarks.wait.policies import HOLD_MS, MAX_WAIT_MS, Policy
from buffer.censored_gaps import HELD_SEEN_MS, READ_MAX, silent_bucket
from buffer.deadlines import InFlight, hold_deadline_ms, may_restart, quiet_deadline_ms, typing_window_ms
from buffer.habits import Habits, contact_window, habits_after
from buffer.window_policy import GAP_BOUNDS_MS, READ_MS, Gaps, channel_window, explores

CHARS_PER_S = 3.5
"""How fast a person is assumed to type: the signal begins so long before a message is sent."""

SIGNAL_EVERY_MS = 10_000
"""WhatsApp repeats the signal about every 10 s while a person types."""

NEVER_MS = 1 << 60
HOUR_MS = 3_600_000
LUCKS = 64


class TurnResult(NamedTuple):
    """What a turn cost: its premature answers, the calls, and from its last message to the call and to the answer."""

    premature: int
    calls: int
    wait_ms: int
    latency_ms: int


@dataclass(slots=True)
class Tally:
    """What the channel counts: gaps, and after how long an answer was read, both by bucket (docs/counters.md)."""

    counts: list[int] = field(default_factory=lambda: [0] * len(GAP_BOUNDS_MS))
    reads: list[int] = field(default_factory=lambda: [0] * len(GAP_BOUNDS_MS))
    turns: int = 0

    def count_gap(self, gap_ms: int) -> None:
        """Count a gap within a turn."""
        self.counts[bisect_left(GAP_BOUNDS_MS, gap_ms)] += 1

    def count_silence(self, silent_ms: int, luck: float) -> None:
        """Count a message after which nothing had come for so long when an answer was read."""
        self.turns += 1
        at = silent_bucket(silent_ms, luck)
        if at <= READ_MAX:
            self.reads[at] += 1


@dataclass(slots=True)
class Contact:
    """What is remembered of an author from turn to turn."""

    name: str
    is_known: bool = False
    habits: Habits = field(default_factory=Habits)
    presence_ms: int | None = None
    last_ms: int | None = None
    acked_ms: int | None = None


@dataclass(slots=True)
class Batch:
    """A burst, open or at the agent. `due_ms` is its deadline, then when its answer leaves."""

    opened_ms: int
    received_ms: list[int] = field(default_factory=list)
    window_ms: int = 0
    due_ms: int = 0
    restarts: int = 0
    claimed_ms: int = 0
    has_waited: bool = False
    is_held: bool = False


def replay(
    conversation: Conversation, policy: Policy, gaps: Gaps | None, tally: Tally | None = None
) -> Iterator[TurnResult]:
    """Replay each turn under a policy, `gaps` being what is known of the channel, and count its gaps in the tally.

    Turns do not touch each other: an answer of the turn before is never still on its way.
    """
    contacts: dict[str, Contact] = {}
    for turn in conversation.turns:
        contact = contacts.setdefault(turn.author, Contact(f"{conversation.name}/{turn.author}"))
        yield TurnReplay(policy, gaps, contact, tally).run(turn)
        if turn.is_answered:
            contact.acked_ms = -NEVER_MS  # somebody has spoken: the last message was the last of its turn


def typing_signals(turn: Turn, visible: float) -> Iterator[tuple[int, bool]]:
    """Yield the times of the turn's typing signals (False) and messages (True), in order."""
    before_ms = -NEVER_MS
    for message in turn.messages:
        if message.luck < visible:
            start_ms = max(before_ms + 1, message.at_ms - round(message.chars * 1000 / CHARS_PER_S))
            yield from ((at_ms, False) for at_ms in range(start_ms, message.at_ms, SIGNAL_EVERY_MS))
        yield message.at_ms, True
        before_ms = message.at_ms


class TurnReplay:
    """One turn of one contact: the open burst, the batch at the agent, and what they have cost so far."""

    def __init__(self, policy: Policy, gaps: Gaps | None, contact: Contact, tally: Tally | None) -> None:
        """Begin a turn."""
        self.policy, self.gaps, self.contact, self.tally = policy, gaps, contact, tally
        self.before_ms: int | None = None
        self.burst: Batch | None = None
        self.flight: Batch | None = None
        self.calls = self.answers = 0
        self.free_ms = -NEVER_MS
        self.claimed_ms = 0

    def run(self, turn: Turn) -> TurnResult:
        """Replay the turn to its end, and return what it cost."""
        for at_ms, is_message in typing_signals(turn, self.policy.visible):
            self.advance(at_ms)
            if is_message:
                self.count(at_ms)
                self.receive(at_ms)
            else:
                self.see_typing(at_ms)
        self.advance(NEVER_MS)
        self.count(NEVER_MS)
        last_ms = turn.messages[-1].at_ms
        return TurnResult(self.answers - 1, self.calls, self.claimed_ms - last_ms, self.free_ms - last_ms)

    def count(self, now_ms: int) -> None:
        """Count what the message before was followed by: this message, or an answer that was read."""
        before_ms, self.before_ms = self.before_ms, now_ms
        if self.tally is None or before_ms is None:
            return
        luck, burst = before_ms % LUCKS / LUCKS, self.burst
        if self.flight is None and self.free_ms > before_ms and now_ms - self.free_ms > READ_MS:
            self.tally.count_silence(self.free_ms + READ_MS - before_ms, luck)
        elif burst is not None and burst.is_held and now_ms - before_ms > burst.window_ms + HELD_SEEN_MS:
            self.tally.count_silence(burst.window_ms + HELD_SEEN_MS, luck)
        else:
            self.tally.count_gap(now_ms - before_ms)

    def advance(self, now_ms: int) -> None:
        """Do what is due before this moment: claim the burst, let the answer leave."""
        while True:
            if self.flight is not None and self.flight.due_ms < now_ms:
                self.leave(self.flight)
            elif self.flight is None and self.burst is not None and self.burst.due_ms < now_ms:
                self.claim(self.burst)
            else:
                return

    def claim(self, burst: Batch) -> None:
        """Call the agent."""
        self.claimed_ms = burst.due_ms if burst.due_ms > self.free_ms else self.free_ms
        burst.due_ms = self.claimed_ms + self.policy.agent_ms
        self.burst, self.flight = None, burst
        self.calls += 1

    def leave(self, flight: Batch) -> None:
        """Send the answer, or hold it back once because the person types again."""
        presence_ms = self.contact.presence_ms
        if self.policy.restarts_max and not flight.has_waited and (presence_ms or 0) > flight.received_ms[-1]:
            flight.has_waited = True
            flight.due_ms = hold_deadline_ms(presence_ms or 0, flight.opened_ms, HOLD_MS, MAX_WAIT_MS, flight.due_ms)
            return
        self.flight, self.free_ms = None, flight.due_ms
        self.answers += 1
        if self.policy.has_contacts:
            self.learn(flight)
        self.contact.last_ms, self.contact.acked_ms = flight.received_ms[-1], self.free_ms

    def learn(self, flight: Batch) -> None:
        """Add the gaps of an answered batch to the contact's habits, and choose its window."""
        contact, auto = self.contact, self.policy.auto
        habits = habits_after(contact.habits, contact.last_ms, flight.received_ms, contact.acked_ms)
        if auto is not None:
            window = contact_window(habits, self.gaps, auto)
            habits = habits._replace(window_ms=window.window_ms if window.why == "auto_contact" else 0)
        contact.habits = habits

    def receive(self, now_ms: int) -> None:
        """Add a message to the open burst, after taking back the batch at the agent where that may be."""
        flight = self.flight
        if flight is not None and self.may_restart(flight, now_ms):
            self.burst, self.flight = flight, None
            flight.restarts, flight.has_waited = flight.restarts + 1, False
        elif self.burst is None:
            self.burst = Batch(now_ms)
        burst = self.burst
        assert burst is not None
        burst.received_ms.append(now_ms)
        burst.window_ms = self.window_ms(now_ms)
        burst.due_ms = quiet_deadline_ms(now_ms, burst.window_ms, burst.opened_ms, MAX_WAIT_MS)
        self.contact.is_known = True

    def may_restart(self, flight: Batch, now_ms: int) -> bool:
        """Return whether a message takes back the batch at the agent."""
        known = InFlight(flight.opened_ms, flight.restarts, is_leaving=False)
        return may_restart(now_ms, known, self.policy.restarts_max, MAX_WAIT_MS)

    def window_ms(self, now_ms: int) -> int:
        """Return the window of a message that comes now."""
        policy, contact, window_ms = self.policy, self.contact, self.policy.window_ms
        if policy.auto is not None:
            if explores(contact.name, now_ms // HOUR_MS):
                window_ms = policy.auto.max_ms
            else:
                window_ms = contact.habits.window_ms or channel_window(self.gaps, policy.auto).window_ms
        return typing_window_ms(window_ms, policy.typing_ms, contact.presence_ms, now_ms)

    def see_typing(self, now_ms: int) -> None:
        """Note that the person types, and hold the open burst."""
        if self.contact.is_known:
            self.contact.presence_ms = now_ms
        burst = self.burst
        if burst is not None:
            burst.is_held = True
            burst.due_ms = hold_deadline_ms(now_ms, burst.opened_ms, HOLD_MS, MAX_WAIT_MS, burst.due_ms)
