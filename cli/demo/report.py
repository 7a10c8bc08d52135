"""The demo in words: what happens as it happens, and afterwards what it came to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cli.demo.promises import Claim
from cli.demo.record import Call, Delivery, Record
from cli.demo.script import ANSWER_S, INTERRUPTION, WINDOW_S, Step
from cli.terminal import Colours, columns

NAME_WIDTH = 5
PLACE_WIDTH = 16
HEADINGS = ("call", "for", "at", "late by", "held")


class Report:
    """Prints; times count from `start`."""

    def __init__(self, paint: Colours, show: Callable[[str], None]) -> None:
        self._paint = paint
        self._show = show
        self._start_ms = time.time() * 1000

    def start(self) -> None:
        """From now on time is counted."""
        self._start_ms = time.time() * 1000

    def opening(self) -> None:
        """What is about to be seen."""
        self._lines(
            self._paint("One burst, one answer", "bold"),
            "",
            "People write the way they talk: in pieces. Each piece is a webhook of its own, and lands on",
            "one of several processes. Here all the pieces of a person become one call to the agent.",
            "",
            "Everything is real, and only for this demo: a Valkey server in a temporary folder, webhook",
            f"processes, a flush worker and an agent. A burst ends after {WINDOW_S:g} s of quiet; the agent takes",
            f"{ANSWER_S:g} s to answer.",
            "",
        )

    def ready(self, webhooks: Sequence[int], worker: int, took_s: float) -> None:
        """The processes are up."""
        names = " and ".join(str(pid) for pid in webhooks)
        self._lines(f"Ready after {took_s:.1f} s: webhook processes {names}, flush worker {worker}.", "")

    def delivery(self, delivery: Delivery) -> None:
        """A message came in."""
        note = ""
        if delivery.duplicate:
            note = "delivered again: nothing stored"
        elif delivery.step is INTERRUPTION:
            note = "while the agent answers her"
        self._event(delivery.sent_ms, delivery.step.person.name, f"→ webhook {delivery.pid}", delivery.step.text, note)

    def call(self, call: Call, texts: Sequence[str]) -> None:
        """A burst reached the agent."""
        count = "1 message" if len(texts) == 1 else f"{len(texts)} messages"
        what = self._paint(f"{count}: {' / '.join(texts)}", "green")
        self._event(call.begun_ms, call.person, "⇒ agent", what)

    def answer(self, call: Call, reply: str) -> None:
        """The agent answered."""
        self._event(call.ended_ms or 0.0, call.person, "⇐ agent", self._paint(reply, "cyan"))

    def closing(self) -> None:
        """The story is over."""
        self._lines("", "That was the story. Stopping everything ...")

    def summary(self, record: Record) -> None:
        """What it came to."""
        shares = ", ".join(f"{pid} took {count}" for pid, count in sorted(record.webhooks_by_process().items()))
        incoming, outgoing = len(record.deliveries), len(record.calls)
        repeated = sum(delivery.duplicate for delivery in record.deliveries)
        self._lines(
            "",
            self._paint("What happened", "bold"),
            "",
            f"  {incoming} webhooks came in ({shares}); {repeated} of them was a duplicate and changed nothing.",
            f"  {outgoing} calls went out. Called for each webhook, the agent would have answered {incoming} times.",
            "",
            *columns([HEADINGS, *(self._row(record, call) for call in record.calls)]),
            "",
            f"  A call is due {WINDOW_S:g} s after the last message of its burst or, when the agent is still answering",
            "  that person, at the end of its answer; late by is counted from there.",
        )

    def verdict(self, claims: Sequence[Claim]) -> None:
        """Whether what was promised is true."""
        kept = sum(claim.holds for claim in claims)
        self._lines("", self._paint("What was promised", "bold"), "")
        for claim in claims:
            mark = self._paint("✓", "green") if claim.holds else self._paint("✗", "red")
            self._lines(f"  {mark} {claim.text}")
        missed = f"{len(claims) - kept} of {len(claims)} promises were broken."
        self._lines("", self._paint(missed, "red") if kept < len(claims) else f"All {kept} promises were kept.")

    def _row(self, record: Record, call: Call) -> tuple[str, ...]:
        number = str(record.calls.index(call) + 1)
        steps = {delivery.step.message_id: delivery.step for delivery in record.deliveries}
        held = " / ".join(_text(steps.get(message_id)) for message_id in call.message_ids)
        return number, call.person, self._clock(call.begun_ms), f"{record.late_ms(call):.0f} ms", held

    def _event(self, at_ms: float, person: str, place: str, what: str, note: str = "") -> None:
        noted = f"  {self._paint(f'({note})', 'dim')}" if note else ""
        self._lines(f"  {self._clock(at_ms)}  {person:<{NAME_WIDTH}}  {place:<{PLACE_WIDTH}}  {what}{noted}")

    def _clock(self, at_ms: float) -> str:
        return f"+{max(0.0, at_ms - self._start_ms) / 1000:.2f} s"

    def _lines(self, *lines: str) -> None:
        for line in lines:
            self._show(line)


def _text(step: Step | None) -> str:
    return step.text if step else "(a message that nobody wrote)"
