"""`debouncer dead`: lists the dead letters, sends them again, or discards them."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from buffer.models import DeadLetter
from buffer.store import Store
from cli.commands.pending import who_text
from cli.options import load_settings_with_flags
from cli.target import Unreachable, open_queue, open_store, require_server
from cli.terminal import columns, count_of, shown_text
from config.settings import Settings
from worker.rq.heartbeats import live_worker_hosts
from worker.rq.suspension import is_suspended

HEADER = ("flush id", "conversation", "died", "messages", "attempts", "error")
ERROR_MAX = 100
"""Characters of an error in the list."""

PAGE = 200

REDRIVE_TEXT = {
    "ok": "will be sent again",
    "already": "already waits to be sent again",
    "gone": "cannot be sent again: its messages are gone from Redis; `debouncer dead discard` removes it",
    "unknown": "is no dead letter; `debouncer dead` lists them",
}
DISCARD_TEXT = {"ok": "discarded", "unknown": REDRIVE_TEXT["unknown"]}


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used, an id is unknown or messages are gone. Raises SettingsError."""
    settings = require_server(load_settings_with_flags(args))
    action = {"list": _list, "retry": _retry, "discard": _discard}[args.action or "list"]

    async def work() -> int:
        async with open_store(settings) as store:
            return await action(store, args)

    try:
        return asyncio.run(work())
    except Unreachable as error:
        print(f"debouncer dead: {error}", file=sys.stderr)
        return 1


async def _list(store: Store, args: argparse.Namespace) -> int:
    total, found = 0, list[DeadLetter]()
    for partition in range(store.settings.redis_partitions):
        total += (await store.dead_letters(partition, 0, 0)).total
        found += await _letters(store, partition, args.offset + args.limit)
    page = sorted(found, key=lambda letter: letter.died_ms)[args.offset : args.offset + args.limit]
    if page:
        print(*columns([HEADER, *map(_row, page)], indent=""), sep="\n")
    if not total:
        print("There are no dead letters.")
        return 0
    shown = shown_text(args.offset, len(page), total)
    print(f"{count_of(total, 'dead letter')}{shown}. `debouncer dead retry --all` sends all again, oldest first.")
    return 0


def _row(letter: DeadLetter) -> tuple[str, ...]:
    died = datetime.fromtimestamp(letter.died_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    error = " ".join(letter.error.split())[:ERROR_MAX]
    if letter.redriven_ms is not None:
        error = f"(to be sent again) {error}"
    if not letter.messages:
        error = f"(its messages are gone: discard it) {error}"
    messages, attempts = str(letter.messages), str(letter.attempts)
    return letter.flush_id, who_text(letter.conversation), died, messages, attempts, error


async def _retry(store: Store, args: argparse.Namespace) -> int:
    if bool(args.flush_id) == args.all:
        print("debouncer dead retry: name flush ids, or --all", file=sys.stderr)
        return 2
    if not args.all:
        code = await _each(args.flush_id, store.redrive, REDRIVE_TEXT)
    else:
        code = await _retry_all(store)
    await _warn_if_nobody_works(store.settings)
    return code


async def _retry_all(store: Store) -> int:
    results = {flush_id: await store.redrive(flush_id) for flush_id in await _all_ids(store)}
    count = Counter(results.values())
    waiting = f"; {count['already']} already waited for that" if count["already"] else ""
    print(f"{count_of(count['ok'], 'dead letter')} will be sent again{waiting}.")
    gone = [flush_id for flush_id, result in results.items() if result == "gone"]
    for flush_id in gone:
        print(f"{flush_id} {REDRIVE_TEXT['gone']}", file=sys.stderr)
    return 1 if gone else 0


async def _all_ids(store: Store) -> list[str]:
    """Return the ids of all dead letters, oldest first. Workers that deliver meanwhile would shift the pages."""
    letters = []
    for partition in range(store.settings.redis_partitions):
        letters += await _letters(store, partition, (await store.dead_letters(partition, 0, 0)).total)
    return [letter.flush_id for letter in sorted(letters, key=lambda letter: letter.died_ms)]


async def _letters(store: Store, partition: int, limit: int) -> list[DeadLetter]:
    """Return the oldest dead letters of a partition, read in pages."""
    found: list[DeadLetter] = []
    while len(found) < limit:
        page = (await store.dead_letters(partition, len(found), min(PAGE, limit - len(found)))).page
        if not page:
            break
        found += page
    return found


async def _discard(store: Store, args: argparse.Namespace) -> int:
    return await _each(args.flush_id, store.discard_letter, DISCARD_TEXT)


async def _each(flush_ids: list[str], operation: Callable[[str], Awaitable[str]], texts: dict[str, str]) -> int:
    code = 0
    for flush_id in flush_ids:
        try:
            result = await operation(flush_id)
        except ValueError:
            result = "unknown"
        failed = result in ("unknown", "gone")
        code = 1 if failed else code
        print(f"{flush_id} {texts[result]}", file=sys.stderr if failed else sys.stdout)
    return code


async def _warn_if_nobody_works(settings: Settings) -> None:
    async with open_queue(settings) as client:
        if await is_suspended(client):
            print("The queue is suspended: nothing is sent until `rq resume`.", file=sys.stderr)
        if not await live_worker_hosts(client, settings.rq_queue):
            print("No worker is alive: nothing is sent until one runs.", file=sys.stderr)
