"""Runs the demo: starts the processes, tells the story, and checks the promises."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
import time
import webbrowser
from contextlib import AsyncExitStack

import structlog

from cli.demo.processes import NotReady, start_processes
from cli.demo.promises import check_promises
from cli.demo.record import Record
from cli.demo.report import Report
from cli.demo.script import ANSWER_S
from cli.demo.sender import NotAccepted, Sender
from cli.demo.story import Story, replies_of_the_agent
from cli.demo.stub_gateway import StubGateway
from cli.echo import EchoAgent
from cli.embedded import ServerFailed
from cli.shutdown import ShutdownSignal, exit_on_signal
from cli.terminal import Colours

INTERRUPTED = 130


def run(args: argparse.Namespace) -> int:
    """Return 0 if every promise was kept, 1 if not, and 130 if interrupted."""
    exit_on_signal()
    # The report prints everything in plain sentences, so the log events of this process are switched off.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    demo = DemoRun(Report(Colours(sys.stdout), lambda line: print(line, flush=True)), with_page=args.page)
    try:
        return asyncio.run(demo.run())
    except (NotReady, ServerFailed, NotAccepted) as error:
        print(f"debouncer demo: {error}", file=sys.stderr)
        return 1


class DemoRun:
    """One run of the demo and its record. `with_page` keeps it running after the story, with the page open."""

    def __init__(self, report: Report, *, with_page: bool = False) -> None:
        self._report = report
        self._with_page = with_page
        self._code: int | None = None
        self._record = Record()

    async def run(self) -> int:
        """Run the script, stop all processes, check the promises and return the exit code."""
        shutdown = ShutdownSignal()
        async with AsyncExitStack() as stack:
            finished = await shutdown.run_until_shutdown(self._run_script(stack, shutdown))
        if not finished and self._code is None:
            print("Interrupted; everything was stopped.", file=sys.stderr)
            return INTERRUPTED
        return self._judge() if self._code is None else self._code

    def _judge(self) -> int:
        """Print what happened, and return the exit code."""
        self._report.print_summary(self._record)
        promises = check_promises(self._record)
        self._report.print_promises(promises)
        return 0 if all(promise.kept for promise in promises) else 1

    async def _run_script(self, stack: AsyncExitStack, shutdown: ShutdownSignal) -> None:
        begun = time.monotonic()
        self._report.print_opening()
        story, token = Story(self._record, self._report), secrets.token_hex(8)
        agent = EchoAgent(ANSWER_S, story.on_call, story.on_answer, replies_of_the_agent)
        gateway = StubGateway(token, story.on_text)
        opened = {"WEBHOOK_ALLOW_UNSIGNED": "true"} if self._with_page else {}
        processes = await start_processes(stack, agent, gateway, token, shutdown.forced, opened)
        self._report.print_ready(processes.webhooks, processes.worker, time.monotonic() - begun)
        if self._with_page:
            self._report.print_page(processes.page)
            await asyncio.to_thread(webbrowser.open, processes.page)
        sender = Sender(processes.port, token, processes.webhooks, processes.logs)
        stack.callback(sender.close)
        await story.tell(processes, sender)
        if not self._with_page:
            self._report.print_closing()
            return
        self._code = self._judge()
        self._report.print_page(processes.page)
        await shutdown.requested.wait()
