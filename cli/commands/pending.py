"""`debouncer pending`: lists the conversations that wait, with what they wait for."""

from __future__ import annotations

import argparse

from buffer.insight_models import Page
from buffer.insights import Insights
from buffer.operator_models import Pending
from buffer.store import Store
from cli.json_output import print_json
from cli.names import who_text
from cli.paging import read_page, shown_text
from cli.tables import Cell, Column, Row, print_table
from cli.target import run_on_store
from cli.terminal import count_of, duration_text
from webhook.admin import models, views

STATES = {
    "open": Cell("waits for a pause", "cyan"),
    "retry": Cell("waits for its next attempt", "yellow"),
    "in_flight": Cell("at the agent", "green"),
    "replying": Cell("its replies wait", "yellow"),
    "redriven": Cell("to be sent again", "yellow"),
    "paused": Cell("paused", "dim"),
    "broken": Cell("its key cannot be read", "bold red"),
}
COLUMNS = (
    Column("conversation"),
    Column("messages", is_number=True),
    Column("state", wraps=True),
    Column("due"),
    Column("ref", wraps=True),
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


async def server_ms(store: Store) -> int:
    """Return the time of the server in ms. Raises StoreError."""
    return (await store.pending(0, 0, 0))[0]


def _print(page: Page[Pending], now_ms: int, args: argparse.Namespace) -> None:
    if page.items:
        print_table(COLUMNS, [pending_row(one, now_ms, args.show) for one in page.items])
    total = page.total or 0
    print(f"{count_of(total, 'conversation')} pending{shown_text(page, args)}" if total else "Nothing is pending.")


def pending_row(found: Pending, now_ms: int, show: bool) -> Row:
    """Return the cells of a conversation."""
    due = due_text(found.due_ms - now_ms)
    if found.state == "in_flight":
        due = f"lease ends {due}"
    return who_text(found.conversation, show), str(found.messages), STATES[found.state], due, found.ref


def due_text(left_ms: int) -> str:
    """Return when a moment is that is `left_ms` away."""
    return f"in {duration_text(left_ms)}" if left_ms >= 0 else f"{duration_text(-left_ms)} ago"
