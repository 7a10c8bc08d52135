"""`debouncer pending`: lists the conversations that wait, with what they wait for."""

from __future__ import annotations

import argparse

from buffer.insight_models import Page
from buffer.insights import Insights
from buffer.operator_models import Pending
from buffer.store import Store
from cli.json_output import print_json
from cli.paging import read_page, shown_text
from cli.rows import pending_row
from cli.tables import Column, print_table
from cli.target import run_on_store, server_ms
from cli.terminal import count_of
from webhook.admin import models, views

COLUMNS = (
    Column("conversation"),
    Column("messages", is_number=True, optional=True),
    Column("state"),
    Column("due"),
    Column("ref"),
)


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used. Raises SettingsError."""
    return run_on_store(args, _list)


async def _list(store: Store, args: argparse.Namespace) -> int:
    page, now_ms = await read_page(Insights(store).pending, args), await server_ms(store)
    if args.json:
        items = [views.listed(one, args.show) for one in page.items]
        print_json(models.Conversations(items=items, next_cursor=page.next_cursor, total=page.total))
    else:
        _print(page, now_ms, args)
    return 0


def _print(page: Page[Pending], now_ms: int, args: argparse.Namespace) -> None:
    if page.items:
        print_table(COLUMNS, [pending_row(one, now_ms, args.show) for one in page.items])
    total = page.total or 0
    print(f"{count_of(total, 'conversation')} pending{shown_text(page, args)}" if total else "Nothing is pending.")
