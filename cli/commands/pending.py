"""`debouncer pending`: lists the conversations that wait, with what they wait for."""

from __future__ import annotations

import argparse
import asyncio
import sys

from buffer.models import Conversation
from buffer.operator_models import Pending
from buffer.store import Store
from cli.options import load_settings_with_flags
from cli.target import Unreachable, open_store, require_server
from cli.terminal import columns, count_of, duration_text, shown_text
from config.logs import mask, mask_phones

STATES = {
    "open": "waits for a pause",
    "retry": "waits for its next attempt",
    "in_flight": "at the agent",
    "replying": "its replies wait",
    "redriven": "to be sent again",
    "paused": "paused",
    "broken": "its key cannot be read",
}
PAGE = 200
HEADER = ("conversation", "messages", "state", "due")


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used. Raises SettingsError."""
    settings = require_server(load_settings_with_flags(args))

    async def read() -> tuple[int, int, list[Pending]]:
        async with open_store(settings) as store:
            return await _soonest(store, args.offset, args.limit)

    try:
        now_ms, total, found = asyncio.run(read())
    except Unreachable as error:
        print(f"debouncer pending: {error}", file=sys.stderr)
        return 1
    if found:
        print(*columns([HEADER, *(_row(one, now_ms) for one in found)], indent=""), sep="\n")
    shown = shown_text(args.offset, len(found), total)
    print(f"{count_of(total, 'conversation')} pending{shown}" if total else "Nothing is pending.")
    return 0


async def _soonest(store: Store, offset: int, limit: int) -> tuple[int, int, list[Pending]]:
    """Return the server's time, the number of all, and a page of all partitions together, soonest first."""
    now_ms, total, found = 0, 0, list[Pending]()
    for partition in range(store.settings.redis_partitions):
        total += (await store.snapshot(partition, 0))["pending"]
        read = 0
        while read < offset + limit:
            now_ms, page = await store.pending(partition, read, min(PAGE, offset + limit - read))
            if not page:
                break
            found, read = found + page, read + len(page)
    return now_ms, total, sorted(found, key=lambda one: one.due_ms)[offset : offset + limit]


def _row(found: Pending, now_ms: int) -> tuple[str, ...]:
    late_ms = now_ms - found.due_ms
    due = f"{duration_text(late_ms)} ago" if late_ms > 0 else f"in {duration_text(-late_ms)}"
    if found.state == "in_flight":
        due = f"lease ends {due}"
    return who_text(found.conversation), str(found.messages), STATES[found.state], due


def who_text(conversation: Conversation) -> str:
    """Return gateway, channel and person, with phone numbers masked."""
    gateway, channel, peer = conversation
    return f"{gateway}/{mask_phones(channel)} {mask(peer)}" if gateway else "?"
