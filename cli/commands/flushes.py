"""`debouncer flushes`: lists the flushes, discards and parts that ended."""

from __future__ import annotations

import argparse
from functools import partial

from buffer.insight_models import FlushRecord, Page
from buffer.insights import Insights
from buffer.keys import Ref
from buffer.store import Store
from buffer.windows import window_text
from cli.json_output import print_json
from cli.names import channel_named, find, ref_named
from cli.paging import read_page
from cli.rows import record_cells
from cli.tables import Cell, Column, Row, print_table
from cli.target import run_on_store
from cli.terminal import count_of, moment_text
from config.settings import SettingsError
from gateways.registry import GATEWAYS
from webhook.admin import models, views

COLUMNS = (
    Column("ended"),
    Column("conversation"),
    Column("messages", is_number=True),
    Column("reason", optional=True),
    Column("window", optional=True),
    Column("waited", is_number=True, optional=True),
    Column("late", is_number=True, optional=True),
    Column("outcome"),
    Column("attempts", is_number=True, optional=True),
    Column("parts", optional=True),
)
ERROR = Column("error", wraps=True)
ERROR_MAX = 100
"""Characters of an error in the list."""


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used. Raises SettingsError."""
    return run_on_store(args, _list)


async def _list(store: Store, args: argparse.Namespace) -> int:
    gateway, channel = _channel(args)
    ref = await _ref(store, args)
    read = partial(
        Insights(store).flushes,
        ref=None if ref is None else str(ref),
        outcome=args.outcome,
        gateway=gateway,
        channel=channel,
    )
    page = await read_page(read, args)
    if args.json:
        items = [views.flush(record, args.show) for record in page.items]
        print_json(models.Flushes(items=items, next_cursor=page.next_cursor))
    else:
        _print(page, args.show)
    return 0


def _channel(args: argparse.Namespace) -> tuple[str | None, str | None]:
    """Return gateway and channel of the filters. `--channel` may name both. Raises SettingsError."""
    if args.gateway not in (None, *GATEWAYS):
        raise SettingsError(f"--gateway {args.gateway!r:.60} is no gateway; there are: {', '.join(GATEWAYS)}")
    if args.channel is None or "/" not in args.channel:
        return args.gateway, args.channel
    gateway, channel = channel_named(args.channel)
    if args.gateway not in (None, gateway):
        raise SettingsError(f"--gateway {args.gateway} and --channel {args.channel} name two gateways")
    return gateway, channel


async def _ref(store: Store, args: argparse.Namespace) -> Ref | None:
    """Return the conversation of `--conversation`, under the name by which its records have it."""
    if args.conversation is None:
        return None
    if len(args.conversation) > 2:
        raise SettingsError("--conversation takes GATEWAY/CHANNEL PERSON, or a ref alone")
    if len(args.conversation) == 1:  # its records may have outlived what is held of the person
        return ref_named(store, args.conversation[0])
    return Ref.parse((await find(store, *args.conversation)).name)


def _print(page: Page[FlushRecord], show: bool) -> None:
    has_error = any(record.error for record in page.items)
    if page.items:
        columns = (*COLUMNS, ERROR) if has_error else COLUMNS
        print_table(columns, [_row(record, show, has_error) for record in page.items])
    more = f"; older ones: --cursor {page.next_cursor}" if page.next_cursor else ""
    print(f"{count_of(len(page.items), 'record')}{more}." if page.items else "The history has no such record.")


def _row(record: FlushRecord, show: bool, has_error: bool) -> Row:
    who, messages, reason, *others = record_cells(record, show)
    cells = (who, messages, reason, window_text(record) or "-", *others)
    row = (moment_text(record.ended_ms), *cells, str(record.attempts or "-"), _parts(record))
    error = " ".join(views.reason_of(record.error, show).split())[:ERROR_MAX]
    return (*row, Cell(error, "red")) if has_error else row


def _parts(record: FlushRecord) -> str:
    if record.part:
        return f"part {record.part.rpartition('.')[2]}"
    doubts = f" ({record.doubts} in doubt)" if record.doubts else ""
    return f"{record.parts}{doubts}" if record.parts else "-"
