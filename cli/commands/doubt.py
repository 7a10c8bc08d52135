"""`debouncer doubt`: lists the parts of answers in doubt, sends them again, or drops them."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from buffer.held_lists import HeldLists
from buffer.reply_models import Doubt
from buffer.reply_store import Replies
from buffer.store import Store
from cli.by_id import each_id, warn_if_nobody_works
from cli.json_output import print_json
from cli.names import who_text
from cli.paging import read_all, read_page, shown_text
from cli.tables import Column, Row, print_table
from cli.target import run_on_store, server_ms
from cli.terminal import count_of, duration_text
from webhook.admin import models, views
from worker.answer_parts import read_stored

COLUMNS = (
    Column("id", wraps=True, is_whole=True),
    Column("since", optional=True),
    Column("conversation"),
    Column("reason", wraps=True),
)
TEXT_MAX = 200
"""Characters of a text in the list."""

UNKNOWN = "is not in doubt; `debouncer doubt` lists what is"
SEND_TEXT = {"ok": "will be sent again", "unknown": UNKNOWN}
DROP_TEXT = {"ok": "dropped", "unknown": UNKNOWN}


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used or an id is unknown. Raises SettingsError."""
    actions = {"list": _list, "send": _send, "drop": _drop}
    return run_on_store(args, actions[args.action or "list"])


async def _list(store: Store, args: argparse.Namespace) -> int:
    page, now_ms = await read_page(HeldLists(store).doubts, args), await server_ms(store)
    with_text = args.text or args.show
    if args.json:
        items = [_body(doubt, args.show, with_text) for doubt in page.items]
        print_json(models.DoubtsBody(items=items, next_cursor=page.next_cursor, total=page.total))
        return 0
    columns = (*COLUMNS, Column("text", wraps=True)) if with_text else COLUMNS
    if page.items:
        print_table(columns, [_row(doubt, now_ms, args.show, with_text) for doubt in page.items])
    if not page.total:
        print("Nothing is in doubt.")
        return 0
    parts = f"{count_of(page.total, 'part')} in doubt{shown_text(page, args)}"
    print(f"{parts}. Look into the chat, then `debouncer doubt send` or `drop`.")
    return 0


def _body(doubt: Doubt, show: bool, with_text: bool) -> models.DoubtBody:
    body = views.doubt(doubt, show)
    return body.model_copy(update={"text": views.doubt(doubt, True).text}) if with_text else body


def _row(doubt: Doubt, now_ms: int, show: bool, with_text: bool) -> Row:
    since, reason = f"{duration_text(now_ms - doubt.since_ms)} ago", views.reason_of(doubt.reason, show) or "?"
    row = (doubt.doubt_id, since, who_text(doubt.conversation, show), reason)
    return (*row, _text_of(doubt)) if with_text else row


def _text_of(doubt: Doubt) -> str:
    """Return the words of a part in one line, with the address of its file."""
    try:
        part = read_stored(doubt.answer).parts[doubt.number - 1]
    except (ValueError, IndexError):
        return "(cannot be read)"
    return " ".join(" ".join(filter(None, (part.text, part.url))).split())[:TEXT_MAX]


async def _send(store: Store, args: argparse.Namespace) -> int:
    code = await _settle(store, args)
    if code != 2:
        await warn_if_nobody_works(store.settings)
    return code


async def _drop(store: Store, args: argparse.Namespace) -> int:
    return await _settle(store, args)


async def _settle(store: Store, args: argparse.Namespace) -> int:
    if bool(args.doubt_id) == args.all:
        print(f"debouncer doubt {args.action}: name ids of the list, or --all", file=sys.stderr)
        return 2
    ids = args.doubt_id or [doubt.doubt_id for doubt in await read_all(HeldLists(store).doubts)]
    if not ids and not args.json:
        print("Nothing is in doubt.")
    settle = partial(Replies(store).settle_doubt, action=args.action)
    return await each_id(ids, settle, SEND_TEXT if args.action == "send" else DROP_TEXT, args)
