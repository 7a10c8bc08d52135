"""`debouncer status`: what waits, what is in flight, what is dead, and whether anybody works on it."""

from __future__ import annotations

import argparse
import asyncio
import sys

from cli.options import load_settings_with_flags
from cli.overview import Overview, overview_of
from cli.route_report import unsent_replies
from cli.target import Unreachable, open_queue, open_store, require_server
from cli.terminal import columns, count_of, redact_url
from config.routes import load_routes
from config.settings import Settings, SettingsError
from worker.rq.heartbeats import live_worker_hosts
from worker.rq.suspension import is_suspended


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used. Raises SettingsError."""
    settings = require_server(load_settings_with_flags(args))
    try:
        rows = asyncio.run(_rows(settings))
    except Unreachable as error:
        print(f"debouncer status: {error}", file=sys.stderr)
        return 1
    print(*columns(rows, indent=""), sep="\n")
    return 0


async def _rows(settings: Settings) -> list[tuple[str, str]]:
    async with open_store(settings) as store:
        overview, conflict = await overview_of(store), await store.owner_conflict()
    async with open_queue(settings) as client:
        hosts, suspended = await live_worker_hosts(client, settings.rq_queue), await is_suspended(client)
    rows = [("Redis", redact_url(settings.redis_url or "")), *overview_rows(overview)]
    rows.append(("queue", f"suspended: no burst goes out; {resume_hint(settings)}" if suspended else "not suspended"))
    rows.append(("workers", f"{len(hosts)} alive ({', '.join(sorted(set(hosts)))})" if hosts else "none alive"))
    rows += [("replies", text) for text in _unsent(settings)]
    return [*rows, ("conflict", conflict)] if conflict else rows


def _unsent(settings: Settings) -> list[str]:
    """Return what is missing for replies, or what is wrong with the routes file: the counts are shown all the same."""
    try:
        return unsent_replies(load_routes(settings))
    except SettingsError as error:
        return [" ".join(str(error).split())]


def overview_rows(overview: Overview) -> list[tuple[str, str]]:
    """Return the rows of the waiting counts."""
    states = overview.states
    rows = [
        ("waiting", count_of(states["open"] + states["redriven"] + overview.uncounted, "conversation")),
        ("in back-off", f"{count_of(states['retry'], 'batch').replace('batchs', 'batches')} between two attempts"),
        ("in flight", count_of(states["in_flight"], "call")),
    ]
    if states["replying"]:
        rows.append(("replying", f"{count_of(states['replying'], 'answer')} with parts that wait"))
    if states["paused"]:
        rows.append(("paused", count_of(states["paused"], "conversation")))
    if states["broken"]:
        rows.append(("broken", f"{count_of(states['broken'], 'conversation')} whose key cannot be read"))
    rows.append(("due", overview.due_text()))
    dead = f"{overview.dead_text()}; `debouncer dead` lists them" if overview.dead else "no dead letters"
    doubt = f"{overview.doubt_text()}; `debouncer doubt` lists them" if overview.doubts else "no part of an answer"
    return [*rows, ("dead", dead), ("in doubt", doubt), *(("held", text) for text in overview.held_texts())]


def resume_hint(settings: Settings) -> str:
    """Return the command that ends a suspension."""
    return f"`rq resume --url {redact_url(settings.queue_redis_url or '')}` goes on"
