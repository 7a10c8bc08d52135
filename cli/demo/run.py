"""Runs the demo: starts the processes, sends the messages, records the calls and checks the promises."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from contextlib import AsyncExitStack

import structlog

from cli.demo.processes import DemoProcesses, NotReady, start_processes
from cli.demo.promises import check_promises
from cli.demo.record import Call, Record
from cli.demo.report import Report
from cli.demo.script import ANA, ANSWER_S, BURSTS, INTERRUPTION, STEPS, Step
from cli.demo.sender import NotAccepted, Sender
from cli.echo import Body, EchoAgent
from cli.embedded import ServerFailed
from cli.shutdown import ShutdownSignal, exit_on_signal
from cli.terminal import Colours

CALLS_WITHIN_S = 15.0
EXTRA_CALL_WITHIN_S = 0.5
"""Time after the last expected call in which a call too many would arrive."""

INTERRUPTED = 130


def run(args: argparse.Namespace) -> int:
    """Return 0 if every promise was kept, 1 if not, and 130 if interrupted."""
    exit_on_signal()
    # The report prints everything in plain sentences, so the log events of this process are switched off.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    demo = DemoRun(Report(Colours(sys.stdout), lambda line: print(line, flush=True)))
    try:
        return asyncio.run(demo.run())
    except (NotReady, ServerFailed, NotAccepted) as error:
        print(f"debouncer demo: {error}", file=sys.stderr)
        return 1


class DemoRun:
    """One run of the demo and its record."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._record = Record()
        self._ana_called = asyncio.Event()
        self._all_answered = asyncio.Event()

    async def run(self) -> int:
        """Run the script, stop all processes, check the promises and return the exit code."""
        shutdown = ShutdownSignal()
        async with AsyncExitStack() as stack:
            finished = await shutdown.run_until_shutdown(self._run_script(stack, shutdown))
        if not finished:
            print("Interrupted; everything was stopped.", file=sys.stderr)
            return INTERRUPTED
        self._report.print_summary(self._record)
        promises = check_promises(self._record)
        self._report.print_promises(promises)
        return 0 if all(promise.kept for promise in promises) else 1

    async def _run_script(self, stack: AsyncExitStack, shutdown: ShutdownSignal) -> None:
        begun = time.monotonic()
        self._report.print_opening()
        agent = EchoAgent(ANSWER_S, self._on_call, self._on_answer)
        processes = await start_processes(stack, agent, shutdown.forced)
        self._report.print_ready(processes.webhooks, processes.worker, time.monotonic() - begun)
        await self._send_all(processes, stack)
        self._report.print_closing()

    async def _send_all(self, processes: DemoProcesses, stack: AsyncExitStack) -> None:
        sender = Sender(processes.port, processes.token, processes.webhooks, processes.logs)
        stack.callback(sender.close)
        loop = asyncio.get_running_loop()
        start = loop.time()
        self._report.start_clock()
        for step in STEPS:
            await asyncio.sleep(start + step.at_s - loop.time())
            await self._send(sender, step)
        try:
            async with asyncio.timeout(CALLS_WITHIN_S):
                await self._ana_called.wait()
                await asyncio.sleep(INTERRUPTION.at_s)
                await self._send(sender, INTERRUPTION)
                await self._all_answered.wait()
        except TimeoutError:
            # A missing call is a broken promise, which check_promises finds.
            return
        await asyncio.sleep(EXTRA_CALL_WITHIN_S)

    async def _send(self, sender: Sender, step: Step) -> None:
        delivery = await sender.send(step)
        self._record.deliveries.append(delivery)
        self._report.print_delivery(delivery)

    def _on_call(self, body: Body, headers: dict[str, str]) -> None:
        message_ids = tuple(message["message_id"] for message in body["messages"])
        key = headers.get("idempotency-key", "")
        call = Call(body["conversation"]["name"], message_ids, key, time.time() * 1000)
        self._record.calls.append(call)
        self._report.print_call(call, [message["text"] for message in body["messages"]])
        if call.person == ANA.name:
            self._ana_called.set()

    def _on_answer(self, body: Body, answer: str) -> None:
        ids = tuple(message["message_id"] for message in body["messages"])
        open_calls = [call for call in self._record.calls if call.message_ids == ids and call.ended_ms is None]
        open_calls[0].ended_ms = time.time() * 1000
        self._report.print_answer(open_calls[0], answer)
        if sum(call.ended_ms is not None for call in self._record.calls) == len(BURSTS):
            self._all_answered.set()
