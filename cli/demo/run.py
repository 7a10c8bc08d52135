"""Plays the story and keeps the record."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from contextlib import AsyncExitStack

import structlog

from cli.demo.processes import NotReady, Stage, set_stage
from cli.demo.promises import claims
from cli.demo.record import Call, Record
from cli.demo.report import Report
from cli.demo.script import ANA, ANSWER_S, BURSTS, INTERRUPTION, STEPS, Step
from cli.demo.sender import NotAccepted, Sender
from cli.echo import Body, EchoAgent
from cli.embedded import ServerFailed
from cli.shutdown import ShutdownSignal, exit_on_signal
from cli.terminal import Colours

CALLS_WITHIN_S = 15.0
LAST_LOOK_S = 0.5
"""A call too many would come within this."""

INTERRUPTED = 130


def run(args: argparse.Namespace) -> int:
    """0 when every promise was kept, 1 when not, 130 when interrupted."""
    exit_on_signal()
    # What happens is told in plain words here; our own events are for the log of `up`.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    show = Show(Report(Colours(sys.stdout), lambda line: print(line, flush=True)))
    try:
        return asyncio.run(show.run())
    except (NotReady, ServerFailed, NotAccepted) as error:
        print(f"debouncer demo: {error}", file=sys.stderr)
        return 1


class Show:
    """One performance."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._record = Record()
        self._ana_called = asyncio.Event()
        self._answered = asyncio.Event()

    async def run(self) -> int:
        """Perform, take everything down, then judge; returns the exit code."""
        stop = ShutdownSignal()
        async with AsyncExitStack() as house:
            finished = await stop.unless(self._perform(house, stop))
        if not finished:
            print("Interrupted; everything was stopped.", file=sys.stderr)
            return INTERRUPTED
        self._report.summary(self._record)
        judged = claims(self._record)
        self._report.verdict(judged)
        return 0 if all(claim.holds for claim in judged) else 1

    async def _perform(self, house: AsyncExitStack, stop: ShutdownSignal) -> None:
        begun = time.monotonic()
        self._report.opening()
        stage = await set_stage(house, EchoAgent(ANSWER_S, self._heard, self._said), stop.hurry)
        self._report.ready(stage.webhooks, stage.worker, time.monotonic() - begun)
        await self._play(stage, house)
        self._report.closing()

    async def _play(self, stage: Stage, house: AsyncExitStack) -> None:
        sender = Sender(stage.port, stage.token, stage.webhooks, stage.journal)
        house.callback(sender.close)
        loop = asyncio.get_running_loop()
        start = loop.time()
        self._report.start()
        for step in STEPS:
            await asyncio.sleep(start + step.at_s - loop.time())
            await self._send(sender, step)
        try:
            async with asyncio.timeout(CALLS_WITHIN_S):
                await self._ana_called.wait()
                await asyncio.sleep(INTERRUPTION.at_s)
                await self._send(sender, INTERRUPTION)
                await self._answered.wait()
        except TimeoutError:
            # What is missing, the verdict will say.
            return
        await asyncio.sleep(LAST_LOOK_S)

    async def _send(self, sender: Sender, step: Step) -> None:
        delivery = await sender.send(step)
        self._record.deliveries.append(delivery)
        self._report.delivery(delivery)

    def _heard(self, body: Body, headers: dict[str, str]) -> None:
        message_ids = tuple(message["message_id"] for message in body["messages"])
        key = headers.get("idempotency-key", "")
        call = Call(body["conversation"]["name"], message_ids, key, time.time() * 1000)
        self._record.calls.append(call)
        self._report.call(call, [message["text"] for message in body["messages"]])
        if call.person == ANA.name:
            self._ana_called.set()

    def _said(self, body: Body, reply: str) -> None:
        ids = tuple(message["message_id"] for message in body["messages"])
        open_calls = [call for call in self._record.calls if call.message_ids == ids and call.ended_ms is None]
        open_calls[0].ended_ms = time.time() * 1000
        self._report.answer(open_calls[0], reply)
        if sum(call.ended_ms is not None for call in self._record.calls) == len(BURSTS):
            self._answered.set()
