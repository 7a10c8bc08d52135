"""`debouncer top`: what waits and what ended, live on one screen."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from rich.live import Live

from buffer.store import Store
from buffer.transport.cancelling import cancel_all
from cli.live_terminal import LiveTerminal, live_terminal
from cli.picture import EVERY_S, Watcher
from cli.tables import console_of, is_terminal
from cli.target import open_queue, run_on_store
from cli.terminal import redact_url
from cli.top_screen import Seen, Size, screen
from config.settings import SettingsError


def run(args: argparse.Namespace) -> int:
    """Return 0 after q or Ctrl-C, 1 if Redis cannot be used at the start. Raises SettingsError without a terminal."""
    if not is_terminal(sys.stdout):
        raise SettingsError(
            f"it needs a terminal to draw on, and stdout is none (TERM={os.environ.get('TERM', '')}). "
            "For scripts: `debouncer status --json`, `pending --json`, `stats --json`"
        )
    return run_on_store(args, _top)


async def _top(store: Store, args: argparse.Namespace) -> int:
    async with open_queue(store.settings) as queue:
        watcher = Watcher(store, queue)
        await watcher.read()
        if watcher.picture is None:
            print(f"debouncer top: {watcher.error}", file=sys.stderr)
            return 1
        with live_terminal() as terminal:
            return await _draw(watcher, terminal, redact_url(store.settings.redis_url or ""), args.show)


async def _draw(watcher: Watcher, terminal: LiveTerminal, server: str, show: bool) -> int:
    """Draw until the screen is to end. Return the exit code."""
    reading = asyncio.create_task(watcher.watch())
    console = console_of(sys.stdout)
    try:
        with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False) as live:
            while not terminal.has_ended and watcher.picture is not None:
                seen = Seen(watcher.picture, time.monotonic(), show, watcher.error)
                live.update(screen(seen, server, Size(*console.size)), refresh=True)
                await terminal.wait(EVERY_S)
                if reading.done():
                    reading.result()
    finally:
        await cancel_all([reading])
    return terminal.code or 0
