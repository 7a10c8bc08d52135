"""`debouncer dead`: lists the dead letters, sends them again, or discards them."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from buffer.held_lists import HeldLists
from buffer.operator_models import DeadLetter
from buffer.store import Store
from cli.by_id import each_id, warn_if_nobody_works
from cli.json_output import print_json
from cli.names import who_text
from cli.paging import read_all, read_page, shown_text
from cli.tables import Cell, Column, Row, print_table
from cli.target import run_on_store
from cli.terminal import count_of, moment_text
from webhook.admin import models, views

COLUMNS = (
    Column("flush id", wraps=True, is_whole=True),
    Column("conversation"),
    Column("died", optional=True),
    Column("messages", optional=True),
    Column("attempts", is_number=True, optional=True),
    Column("error", wraps=True),
)
ERROR_MAX = 100
"""Characters of an error in the list."""

REDRIVE_TEXT = {
    "ok": "will be sent again",
    "already": "already waits to be sent again",
    "gone": "cannot be sent again: its messages are gone from Redis; `debouncer dead discard` removes it",
    "unknown": "is no dead letter; `debouncer dead` lists them",
}
DISCARD_TEXT = {"ok": "discarded", "unknown": REDRIVE_TEXT["unknown"]}


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used, an id is unknown or messages are gone. Raises SettingsError."""
    actions = {"list": _list, "retry": _retry, "discard": _discard}
    return run_on_store(args, actions[args.action or "list"])


async def _list(store: Store, args: argparse.Namespace) -> int:
    page = await read_page(HeldLists(store).dead_letters, args)
    if args.json:
        items = [views.dead_letter(letter, args.show) for letter in page.items]
        print_json(models.DeadLettersBody(items=items, next_cursor=page.next_cursor, total=page.total))
        return 0
    if page.items:
        print_table(COLUMNS, [_row(letter, args.show) for letter in page.items])
    if not page.total:
        print("There are no dead letters.")
        return 0
    letters = f"{count_of(page.total, 'dead letter')}{shown_text(page, args)}"
    print(f"{letters}. `debouncer dead retry --all` sends all again, oldest first.")
    return 0


def _row(letter: DeadLetter, show: bool) -> Row:
    error = " ".join(views.reason_of(letter.error, show).split())[:ERROR_MAX]
    if letter.redriven_ms is not None:
        error = f"(to be sent again) {error}"
    messages, attempts = str(letter.messages), str(letter.attempts)
    if is_part(letter.flush_id):
        messages = "a part of an answer"
    elif not letter.messages:
        error = f"(its messages are gone: discard it) {error}"
    who, died = who_text(letter.conversation, show), moment_text(letter.died_ms)
    return letter.flush_id, who, died, messages, attempts, Cell(error, "red")


def is_part(flush_id: str) -> bool:
    """Return True for the dead letter of one part of an answer, `<flush_id>.<part>`. It has no messages."""
    return "." in flush_id


async def _retry(store: Store, args: argparse.Namespace) -> int:
    if bool(args.flush_id) == args.all:
        print("debouncer dead retry: name flush ids, or --all", file=sys.stderr)
        return 2
    if not args.all:
        code = await each_id(args.flush_id, store.redrive, REDRIVE_TEXT, args)
    else:
        code = await _retry_all(store, args)
    await warn_if_nobody_works(store.settings)
    return code


async def _retry_all(store: Store, args: argparse.Namespace) -> int:
    """Redrive all. Workers that deliver meanwhile would shift the pages, so all are read first."""
    ids = [letter.flush_id for letter in await read_all(HeldLists(store).dead_letters)]
    if args.json:
        return await each_id(ids, store.redrive, REDRIVE_TEXT, args)
    results = {flush_id: await store.redrive(flush_id) for flush_id in ids}
    count = Counter(results.values())
    waiting = f"; {count['already']} already waited for that" if count["already"] else ""
    print(f"{count_of(count['ok'], 'dead letter')} will be sent again{waiting}.")
    gone = [flush_id for flush_id, result in results.items() if result == "gone"]
    for flush_id in gone:
        print(f"{flush_id} {REDRIVE_TEXT['gone']}", file=sys.stderr)
    return 1 if gone else 0


async def _discard(store: Store, args: argparse.Namespace) -> int:
    return await each_id(args.flush_id, store.discard_letter, DISCARD_TEXT, args)
