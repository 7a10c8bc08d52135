"""The story of the demo: what is sent when, and what comes of it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable

from cli.demo.log_reader import Event
from cli.demo.processes import DemoProcesses, is_worker_start
from cli.demo.record import Bubble, Call, Record
from cli.demo.report import Report
from cli.demo.script import ANA, BURSTS, CARLA, INTERRUPTION, PEOPLE, SECOND_REPLY, STEPS, TAKEOVER, THANKS, Step
from cli.demo.sender import Sender
from cli.echo import Body, replies_to

WITHIN_S = 20.0
"""Longest wait for each thing that must happen."""

EXTRA_CALL_WITHIN_S = 0.5
"""Time after the last event in which a call too many would arrive."""


def replies_of_the_agent(body: Body) -> list[str]:
    """Return one reply to a burst, and two to Carla."""
    second = [SECOND_REPLY] if body["conversation"]["name"] == CARLA.name else []
    return [*replies_to(body), *second]


class Story:
    """Sends the messages, and records and prints what happens. A thing that never happens is a broken promise."""

    def __init__(self, record: Record, report: Report) -> None:
        self._record = record
        self._report = report
        self._changed = asyncio.Event()
        self._sender: Sender | None = None
        self._worker = 0

    async def tell(self, processes: DemoProcesses, sender: Sender) -> None:
        """Tell the whole story. It ends early if something does not happen in time."""
        self._sender, self._worker = sender, processes.worker
        start = asyncio.get_running_loop().time()
        self._report.start_clock()
        for step in STEPS:
            await asyncio.sleep(start + step.at_s - asyncio.get_running_loop().time())
            await self._send(sender, step)
        try:
            await self._interrupt(sender)
            await self._take_over(sender)
            await self._doubt(processes, sender)
        except TimeoutError:
            return
        await asyncio.sleep(EXTRA_CALL_WITHIN_S)

    async def _interrupt(self, sender: Sender) -> None:
        await self._until(lambda: bool(self._record.calls_of(ANA.name)))
        await asyncio.sleep(INTERRUPTION.at_s)
        await self._send(sender, INTERRUPTION)

    async def _take_over(self, sender: Sender) -> None:
        """Let a human answer Carla after the agent's first reply to her, and Carla thank the human."""
        await self._until(lambda: bool(self._record.bubbles_of(CARLA.name)))
        await asyncio.sleep(TAKEOVER.at_s)
        begun_ms = time.time() * 1000
        pid = await sender.send_human(TAKEOVER)
        self._record.taken_ms = time.time() * 1000
        self._report.print_takeover(begun_ms, TAKEOVER, pid)
        await asyncio.sleep(THANKS.at_s)
        await self._send(sender, THANKS)

    async def _doubt(self, processes: DemoProcesses, sender: Sender) -> None:
        """Wait until another worker finds the reply of the killed one, list it, and let its echo come."""
        await self._until(lambda: self._record.killed_ms is not None)
        started = await processes.logs.find(is_worker_start, processes.started_at, WITHIN_S)
        self._report.print_restart(ANA.name, int(started["pid"]))
        await processes.logs.find(_is_doubt, processes.started_at, WITHIN_S)
        await self._list_doubts(processes)
        bubble = self._record.bubbles_of(ANA.name)[-1]
        self._report.print_echo(time.time() * 1000, bubble)
        await self._echo(sender, bubble)
        await self._list_doubts(processes)

    async def _list_doubts(self, processes: DemoProcesses) -> None:
        lines = await processes.run_command("doubt")
        self._record.doubts.append(tuple(line.split()[0] for line in lines if _is_row(line)))
        self._report.print_doubts(time.time() * 1000, ANA.name, lines)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Wait until the record has something. Raises TimeoutError."""
        async with asyncio.timeout(WITHIN_S):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    def _all_answered(self) -> bool:
        return sum(call.ended_ms is not None for call in self._record.calls) >= len(BURSTS)

    async def _send(self, sender: Sender, step: Step) -> None:
        delivery = await sender.send(step)
        self._record.deliveries.append(delivery)
        self._report.print_delivery(delivery)

    async def _echo(self, sender: Sender, bubble: Bubble) -> None:
        number = next(person.phone for person in PEOPLE if person.name == bubble.person)
        await sender.send_echo(number, bubble.text, bubble.message_id)
        self._record.echoes += 1

    def on_call(self, body: Body, headers: dict[str, str]) -> None:
        """Record a call to the agent."""
        message_ids = tuple(message["message_id"] for message in body["messages"])
        key = headers.get("idempotency-key", "")
        call = Call(body["conversation"]["name"], message_ids, key, time.time() * 1000)
        self._record.calls.append(call)
        self._report.print_call(call, [message["text"] for message in body["messages"]])
        self._changed.set()

    def on_answer(self, body: Body, replies: list[str]) -> None:
        """Record an answer of the agent."""
        ids = tuple(message["message_id"] for message in body["messages"])
        call = next(call for call in self._record.calls if call.message_ids == ids and call.ended_ms is None)
        call.ended_ms, call.replies = time.time() * 1000, tuple(replies)
        self._report.print_answer(call)
        self._changed.set()

    async def on_text(self, number: str, text: str, message_id: str) -> bool:
        """Record a message of the bot, and deliver its echo, as Evolution does before it answers.

        At Ana's second one kill the worker that sent it, and return False: its answer could reach nobody.
        """
        name = next((person.name for person in PEOPLE if person.phone == number), number)
        bubble = Bubble(name, text, message_id, time.time() * 1000)
        self._record.bubbles.append(bubble)
        self._report.print_bubble(bubble)
        is_left = self._record.killed_ms is None and len(self._record.bubbles_of(ANA.name)) == 2
        if is_left:
            await self._until(self._all_answered)
            os.kill(self._worker, signal.SIGKILL)
            self._record.killed_ms = time.time() * 1000
            self._report.print_kill(self._record.killed_ms, name, self._worker)
        elif self._sender is not None:
            await self._echo(self._sender, bubble)
        self._changed.set()
        return not is_left


def _is_doubt(event: Event) -> bool:
    return str(event.get("event", "")).startswith("nobody knows whether a part reached")


def _is_row(line: str) -> bool:
    """Return True for a line of `debouncer doubt` that has a part: it begins with the id."""
    return re.match(r"\d+-\S+\.\d+ ", line) is not None
