"""Pages of lists as the commands name them: a number of rows to leave out, or a cursor."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from buffer.insight_models import Page
from config.settings import SettingsError

Item = TypeVar("Item")
Read = Callable[..., Awaitable[Page[Item]]]
"""Reads a page of a number of items behind a cursor, and leaves `offset` out if the command has that argument."""

PAGE = 100
"""Items of one read, which takes less than 1 ms of the server's time."""


async def read_page(read: Read[Item], args: argparse.Namespace) -> Page[Item]:
    """Return the page that `--limit`, `--offset` and `--cursor` name. Raises SettingsError for a wrong cursor."""
    offset = getattr(args, "offset", 0)
    try:
        return await _read_many(read, args.limit, args.cursor, partial(read, offset=offset) if offset else read)
    except ValueError as error:
        raise SettingsError(f"--cursor: {error}") from None


def shown_text(page: Page[Any], args: argparse.Namespace) -> str:
    """Return which rows of a list are shown, or '' if all are."""
    shown, total = len(page.items), page.total or 0
    if args.cursor is not None:
        return f"; {shown} shown" if shown else ""
    first = args.offset + 1
    return f"; {first} to {args.offset + shown} shown (--offset, --limit)" if 0 < shown < total else ""


async def read_all(read: Read[Item]) -> list[Item]:
    """Return all items, read in pages."""
    items, cursor = list[Item](), None
    while True:
        page = await read(PAGE, cursor)
        items, cursor = [*items, *page.items], page.next_cursor
        if cursor is None:
            return items


async def _read_many(read: Read[Item], count: int, cursor: str | None, read_first: Read[Item]) -> Page[Item]:
    """Return `count` items behind a cursor, read in pages. Without any, only the total is read."""
    if not count:
        return Page([], cursor, (await read(1, cursor)).total)
    page = await read_first(min(PAGE, count), cursor)
    items = page.items
    while page.next_cursor is not None and len(items) < count:
        page = await read(min(PAGE, count - len(items)), page.next_cursor)
        items = [*items, *page.items]
    return Page(items, page.next_cursor, page.total)
