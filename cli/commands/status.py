"""`debouncer status`: what waits, what is in flight, what is dead, and whether anybody works on it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any, NamedTuple

from buffer.owner_store import Owners
from cli.json_output import print_json
from cli.options import load_settings_with_flags
from cli.overview import Overview, overview_of
from cli.route_report import unsent_replies
from cli.tables import Cell, print_pairs
from cli.target import Unreachable, open_queue, open_store, require_server
from cli.terminal import count_of, redact_url
from config.logs import mask_phones
from config.routes import load_routes
from config.settings import Settings, SettingsError
from worker.rq.heartbeats import live_worker_hosts
from worker.rq.suspension import is_suspended

Rows = list[tuple[str, str | Cell]]


class Status(NamedTuple):
    """What `status` tells. `conflict` is a sentence about another deployment at work on the same keys, or None."""

    overview: Overview
    hosts: list[str]
    is_suspended: bool
    conflict: str | None
    unsent: list[str]


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used. Raises SettingsError."""
    settings = require_server(load_settings_with_flags(args))
    try:
        status = asyncio.run(_read(settings))
    except Unreachable as error:
        print(f"debouncer status: {error}", file=sys.stderr)
        return 1
    if args.json:
        print_json(_body(status, settings))
    else:
        print_pairs(_rows(status, settings))
    return 0


async def _read(settings: Settings) -> Status:
    async with open_store(settings) as store:
        overview, conflict = await overview_of(store), await Owners(store).conflict()
    async with open_queue(settings) as client:
        hosts, suspended = await live_worker_hosts(client, settings.rq_queue), await is_suspended(client)
    return Status(overview, hosts, suspended, conflict, _unsent(settings))


def _rows(status: Status, settings: Settings) -> Rows:
    rows: Rows = [("Redis", redact_url(settings.redis_url or "")), *overview_rows(status.overview)]
    suspended = Cell(f"suspended: no burst goes out; {resume_hint(settings)}", "bold red")
    rows.append(("queue", suspended if status.is_suspended else "not suspended"))
    alive = f"{len(status.hosts)} alive ({', '.join(sorted(set(status.hosts)))})"
    rows.append(("workers", alive if status.hosts else Cell("none alive", "bold red")))
    rows += [("replies", Cell(text, "yellow")) for text in status.unsent]
    return [*rows, ("conflict", Cell(status.conflict, "bold red"))] if status.conflict else rows


def _body(status: Status, settings: Settings) -> dict[str, Any]:
    """Return the object of `--json`. Phone numbers are masked in the names of channels."""
    overview = status.overview
    return {
        "redis": redact_url(settings.redis_url or ""),
        "now_ms": overview.now_ms,
        "pending": overview.waiting + overview.in_flight,
        "states": dict(overview.states),
        "uncounted": overview.uncounted,
        "due_ms": overview.oldest_due_ms,
        "overdue": overview.overdue,
        "oldest_overdue_ms": overview.oldest_overdue_ms,
        "dead": overview.dead,
        "oldest_dead_ms": overview.oldest_dead_ms,
        "doubts": overview.doubts,
        "oldest_doubt_ms": overview.oldest_doubt_ms,
        "held": [{**held._asdict(), "channel": mask_phones(held.channel)} for held in overview.held],
        "agents_held": [held._asdict() for held in overview.agents],
        "queue_suspended": status.is_suspended,
        "workers": status.hosts,
        "unsent_replies": status.unsent,
        "conflict": status.conflict,
    }


def _unsent(settings: Settings) -> list[str]:
    """Return what is missing for replies, or what is wrong with the routes file: the counts are shown all the same."""
    try:
        return unsent_replies(load_routes(settings))
    except SettingsError as error:
        return [" ".join(str(error).split())]


def overview_rows(overview: Overview) -> Rows:
    """Return the rows of the waiting counts."""
    states = overview.states
    rows: Rows = [
        ("waiting", _waiting_text(overview)),
        ("in back-off", f"{count_of(states['retry'], 'batch').replace('batchs', 'batches')} between two attempts"),
        ("in flight", count_of(states["in_flight"], "call")),
    ]
    if states["replying"]:
        rows.append(("replying", f"{count_of(states['replying'], 'answer')} with parts that wait"))
    if states["paused"]:
        rows.append(("paused", count_of(states["paused"], "conversation")))
    if states["broken"]:
        broken = f"{count_of(states['broken'], 'conversation')} whose key cannot be read"
        rows.append(("broken", Cell(broken, "bold red")))
    rows.append(("due", Cell(overview.due_text(), "bold red" if overview.overdue else "")))
    dead = Cell(f"{overview.dead_text()}; `debouncer dead` lists them", "red")
    doubt = Cell(f"{overview.doubt_text()}; `debouncer doubt` lists them", "yellow")
    rows.append(("dead", dead if overview.dead else "no dead letters"))
    rows.append(("in doubt", doubt if overview.doubts else "no part of an answer"))
    rows += [("held", Cell(text, "red")) for text in overview.held_texts()]
    return [*rows, *(("agent", Cell(text, "bold red")) for text in overview.agent_texts())]


def _waiting_text(overview: Overview) -> str:
    """Return how many conversations wait. The state of those that were only counted may be another one."""
    waiting = overview.states["open"] + overview.states["redriven"] + overview.uncounted
    only = f", {overview.uncounted} of them only counted" if overview.uncounted else ""
    return f"{count_of(waiting, 'conversation')}{only}"


def resume_hint(settings: Settings) -> str:
    """Return the command that ends a suspension."""
    return f"`rq resume --url {redact_url(settings.queue_redis_url or '')}` goes on"
