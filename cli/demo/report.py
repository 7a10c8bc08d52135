"""Prints the demo: each event when it happens, then a summary and the promises."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cli.demo.promises import Promise
from cli.demo.record import Bubble, Call, Delivery, Record
from cli.demo.script import ANSWER_S, INTERRUPTION, WINDOW_S, Step
from cli.terminal import Colours, columns

NAME_WIDTH = 5
PLACE_WIDTH = 16
HEADINGS = ("call", "for", "at", "late by", "held")


class Report:
    """Prints lines of text. Times count from `start_clock()`."""

    def __init__(self, colours: Colours, print_line: Callable[[str], None]) -> None:
        self._colours = colours
        self._print_line = print_line
        self._start_ms = time.time() * 1000

    def start_clock(self) -> None:
        """Count the times of events from now."""
        self._start_ms = time.time() * 1000

    def print_opening(self) -> None:
        """Print an introduction."""
        self._lines(
            self._colours("One burst, one answer", "bold"),
            "",
            "People write the way they talk: in pieces. Each piece is a webhook of its own, and lands on",
            "one of several processes. Here all the pieces of a person become one call to the agent, and",
            "what it answers goes back to the person once.",
            "",
            "Everything is real, and only for this demo: a Valkey server in a temporary folder, webhook",
            "processes, a flush worker, an agent, and a small stand-in for the gateway. A burst ends after",
            f"{WINDOW_S:g} s of quiet; the agent takes {ANSWER_S:g} s to answer.",
            "",
        )

    def print_ready(self, webhooks: Sequence[int], worker: int, took_s: float) -> None:
        """Print the process ids."""
        names = " and ".join(str(pid) for pid in webhooks)
        self._lines(f"Ready after {took_s:.1f} s: webhook processes {names}, flush worker {worker}.", "")

    def print_page(self, address: str) -> None:
        """Print where the operator's page is."""
        self._lines(f"The operator's page: {self._colours(address, 'bold')}  (Ctrl-C ends the demo)", "")

    def print_delivery(self, delivery: Delivery) -> None:
        """Print a message that the webhook received."""
        note = ""
        if delivery.duplicate:
            note = "delivered again: nothing stored"
        elif delivery.step is INTERRUPTION:
            note = "while the agent answers her"
        elif delivery.discarded:
            note = "a human is with her: recorded, and no call"
        self._event(delivery.sent_ms, delivery.step.person.name, f"→ webhook {delivery.pid}", delivery.step.text, note)

    def print_call(self, call: Call, texts: Sequence[str]) -> None:
        """Print a call to the agent."""
        count = "1 message" if len(texts) == 1 else f"{len(texts)} messages"
        description = self._colours(f"{count}: {' / '.join(texts)}", "green")
        self._event(call.begun_ms, call.person, "⇒ agent", description)

    def print_answer(self, call: Call) -> None:
        """Print an answer of the agent."""
        self._event(call.ended_ms or 0.0, call.person, "⇐ agent", self._colours(" / ".join(call.replies), "cyan"))

    def print_bubble(self, bubble: Bubble) -> None:
        """Print a message of the bot that the gateway shows to the person."""
        self._event(bubble.at_ms, bubble.person, "← gateway", self._colours(bubble.text, "bold"))

    def print_takeover(self, at_ms: float, step: Step, pid: int) -> None:
        """Print what a human of ours wrote to a person."""
        self._event(at_ms, step.person.name, f"→ webhook {pid}", step.text, "a human of ours, on the phone")

    def print_kill(self, at_ms: float, person: str, worker: int) -> None:
        """Print that the worker was killed."""
        text = self._colours("kill -9, while the gateway has the reply and has not answered yet", "red")
        self._event(at_ms, person, f"✗ worker {worker}", text)

    def print_restart(self, person: str, worker: int) -> None:
        """Print that another worker was started."""
        self._event(time.time() * 1000, person, f"✓ worker {worker}", "started in its place")

    def print_doubts(self, at_ms: float, person: str, lines: Sequence[str]) -> None:
        """Print what `debouncer doubt` said."""
        self._event(at_ms, person, "? in doubt", "$ debouncer doubt")
        self._lines(*(f"            {self._colours(line, 'yellow')}" for line in lines))

    def print_echo(self, at_ms: float, bubble: Bubble) -> None:
        """Print that the gateway delivers the echo of a reply."""
        self._event(at_ms, bubble.person, "→ webhook", bubble.text, "the gateway's echo: so it was sent")

    def print_closing(self) -> None:
        """Print that all messages are sent and answered."""
        self._lines("", "That was the story. Stopping everything ...")

    def print_summary(self, record: Record) -> None:
        """Print the counts and a table of the calls."""
        shares = ", ".join(f"{pid} took {count}" for pid, count in sorted(record.webhooks_by_process().items()))
        incoming, outgoing = len(record.deliveries), len(record.calls)
        shown, echoes = len(record.bubbles), record.echoes
        repeated = sum(delivery.duplicate for delivery in record.deliveries)
        self._lines(
            "",
            self._colours("What happened", "bold"),
            "",
            f"  {incoming} messages came in ({shares}); {repeated} of them was a duplicate and changed nothing.",
            f"  {outgoing} calls went out. Called for each message, the agent would have answered {incoming} times.",
            f"  {shown} replies reached people; {echoes} of them came back as echoes, and paused nobody.",
            "",
            *columns([HEADINGS, *(self._row(record, call) for call in record.calls)]),
            "",
            f"  A call is due {WINDOW_S:g} s after the last message of its burst or, when the agent is still answering",
            "  that person, as soon as the answer has reached the person; late by is counted from there.",
        )

    def print_promises(self, promises: Sequence[Promise]) -> None:
        """Print each promise with a mark, and the number of those that were kept."""
        kept = sum(promise.kept for promise in promises)
        self._lines("", self._colours("What was promised", "bold"), "")
        for promise in promises:
            mark = self._colours("✓", "green") if promise.kept else self._colours("✗", "red")
            self._lines(f"  {mark} {promise.text}")
        missed = f"{len(promises) - kept} of {len(promises)} promises were broken."
        self._lines("", self._colours(missed, "red") if kept < len(promises) else f"All {kept} promises were kept.")

    def _row(self, record: Record, call: Call) -> tuple[str, ...]:
        number = str(record.calls.index(call) + 1)
        steps = {delivery.step.message_id: delivery.step for delivery in record.deliveries}
        held = " / ".join(_text(steps.get(message_id)) for message_id in call.message_ids)
        return number, call.person, self._clock(call.begun_ms).strip(), f"{record.late_ms(call):.0f} ms", held

    def _event(self, at_ms: float, person: str, place: str, text: str, note: str = "") -> None:
        noted = f"  {self._colours(f'({note})', 'dim')}" if note else ""
        self._lines(f"  {self._clock(at_ms)}  {person:<{NAME_WIDTH}}  {place:<{PLACE_WIDTH}}  {text}{noted}")

    def _clock(self, at_ms: float) -> str:
        return f"{f'+{max(0.0, at_ms - self._start_ms) / 1000:.2f}':>6} s"

    def _lines(self, *lines: str) -> None:
        for line in lines:
            self._print_line(line)


def _text(step: Step | None) -> str:
    return step.text if step else "(a message that nobody wrote)"
