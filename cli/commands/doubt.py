"""`debouncer doubt`: lists the parts of answers in doubt, sends them again, or drops them."""

from __future__ import annotations

import argparse
import asyncio
import sys
from functools import partial

from buffer.reply_models import Doubt
from buffer.reply_store import Replies
from buffer.store import Store
from cli.by_id import each_id, warn_if_nobody_works
from cli.commands.pending import who_text
from cli.options import load_settings_with_flags
from cli.target import Unreachable, open_store, require_server
from cli.terminal import columns, count_of, duration_text, shown_text
from worker.answer_parts import read_stored

HEADER = ("id", "since", "conversation", "reason")
TEXT_MAX = 200
"""Characters of a text in the list."""

PAGE = 200

UNKNOWN = "is not in doubt; `debouncer doubt` lists what is"
SEND_TEXT = {"ok": "will be sent again", "unknown": UNKNOWN}
DROP_TEXT = {"ok": "dropped", "unknown": UNKNOWN}


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used or an id is unknown. Raises SettingsError."""
    settings = require_server(load_settings_with_flags(args))
    action = {"list": _list, "send": _send, "drop": _drop}[args.action or "list"]

    async def work() -> int:
        async with open_store(settings) as store:
            return await action(store, args)

    try:
        return asyncio.run(work())
    except Unreachable as error:
        print(f"debouncer doubt: {error}", file=sys.stderr)
        return 1


async def _list(store: Store, args: argparse.Namespace) -> int:
    now_ms, total, found = await _oldest(store, args.offset + args.limit)
    page = found[args.offset :]
    header = (*HEADER, "text") if args.text else HEADER
    if page:
        print(*columns([header, *(_row(doubt, now_ms, args.text) for doubt in page)], indent=""), sep="\n")
    if not total:
        print("Nothing is in doubt.")
        return 0
    shown = shown_text(args.offset, len(page), total)
    print(f"{count_of(total, 'part')} in doubt{shown}. Look into the chat, then `debouncer doubt send` or `drop`.")
    return 0


async def _oldest(store: Store, limit: int) -> tuple[int, int, list[Doubt]]:
    """Return the server's time, the number of all parts in doubt, and the oldest of them."""
    replies, now_ms, total, found = Replies(store), 0, 0, list[Doubt]()
    for partition in range(store.settings.redis_partitions):
        first = await replies.doubts(partition, 0, 1)
        now_ms, total = first.now_ms, total + first.total
        for offset in range(0, min(limit, first.total), PAGE):
            found += (await replies.doubts(partition, offset, min(PAGE, limit - offset))).page
    return now_ms, total, sorted(found, key=lambda doubt: doubt.since_ms)[:limit]


def _row(doubt: Doubt, now_ms: int, with_text: bool) -> tuple[str, ...]:
    since = f"{duration_text(now_ms - doubt.since_ms)} ago"
    row = (doubt.doubt_id, since, who_text(doubt.conversation), doubt.reason or "?")
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
    ids = args.doubt_id or [doubt.doubt_id for doubt in (await _oldest(store, sys.maxsize))[2]]
    if not ids:
        print("Nothing is in doubt.")
    settle = partial(Replies(store).settle_doubt, action=args.action)
    return await each_id(ids, settle, SEND_TEXT if args.action == "send" else DROP_TEXT)
