"""Pages of lists: a number of rows to leave out, a cursor, and all of them."""

from __future__ import annotations

from argparse import Namespace

import pytest

from buffer.insight_models import Page
from cli.main import build_parser
from cli.paging import PAGE, read_all, read_page, shown_text
from config.settings import SettingsError

COUNT = 2 * PAGE + 50


async def read(limit: int, cursor: str | None, offset: int = 0) -> Page[int]:
    """A list of COUNT numbers, in pages as a store gives them."""
    assert 0 < limit <= PAGE
    if cursor is not None and not cursor.isdigit():
        raise ValueError("this is no cursor of this list")
    first = int(cursor or 0) + offset
    items = list(range(first, min(first + limit, COUNT)))
    end = first + len(items)
    return Page(items, str(end) if end < COUNT else None, COUNT)


def asked(limit: int = 50, offset: int = 0, cursor: str | None = None) -> Namespace:
    return Namespace(limit=limit, offset=offset, cursor=cursor)


@pytest.mark.parametrize(
    ("args", "first", "last", "next_cursor", "shown"),
    [
        (asked(), 0, 49, "50", "; 1 to 50 shown (--offset, --limit)"),
        (asked(limit=PAGE + 10), 0, PAGE + 9, str(PAGE + 10), f"; 1 to {PAGE + 10} shown (--offset, --limit)"),
        (asked(limit=7, offset=203), 203, 209, "210", "; 204 to 210 shown (--offset, --limit)"),
        (asked(limit=PAGE + 7, offset=3), 3, PAGE + 9, str(PAGE + 10), f"; 4 to {PAGE + 10} shown (--offset, --limit)"),
        (asked(limit=1000), 0, COUNT - 1, None, ""),
        (asked(limit=10, cursor="245"), 245, 249, None, "; 5 shown"),
        (asked(limit=10, offset=2, cursor="5"), 7, 16, "17", "; 10 shown"),
    ],
)
async def test_pages(args: Namespace, first: int, last: int, next_cursor: str | None, shown: str):
    """A page has the rows that were asked for, in however many reads, and tells which it shows."""
    page = await read_page(read, args)
    assert page.items == list(range(first, last + 1))
    assert (page.next_cursor, page.total) == (next_cursor, COUNT)
    assert shown_text(page, args) == shown


@pytest.mark.parametrize("args", [asked(offset=COUNT), asked(offset=COUNT + 1), asked(limit=0)])
async def test_a_page_of_no_rows(args: Namespace):
    """Behind the end, and with no rows wanted, only the total is told."""
    page = await read_page(read, args)
    assert (page.items, page.total, shown_text(page, args)) == ([], COUNT, "")


async def test_rows_that_are_left_out_are_not_read():
    """A page behind many rows takes as many reads as the first one."""
    reads: list[int] = []

    async def counted(limit: int, cursor: str | None, offset: int = 0) -> Page[int]:
        reads.append(limit)
        return await read(limit, cursor, offset)

    await read_page(counted, asked(limit=10, offset=COUNT - 20))
    assert reads == [10]


async def test_a_wrong_cursor_is_named():
    """The error says which argument is wrong."""
    with pytest.raises(SettingsError, match="--cursor: this is no cursor"):
        await read_page(read, asked(cursor="nonsense"))


async def test_all():
    """All items are read, page by page."""
    assert await read_all(read) == list(range(COUNT))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("dead --json --limit 7 list", {"json": True, "limit": 7, "show": False}),
        ("dead list --limit 9 --show", {"json": False, "limit": 9, "show": True}),
        ("dead --json retry a", {"json": True}),
        ("dead retry --json a", {"json": True}),
        ("doubt --text list", {"text": True, "limit": 50, "cursor": None}),
        ("doubt send --all", {"json": False, "all": True}),
    ],
)
def test_an_action_inherits_what_stands_before_it(line: str, wanted: dict[str, object]):
    """An argument counts whether it stands before or behind the name of the action."""
    found = vars(build_parser().parse_args(line.split()))
    assert {name: found[name] for name in wanted} == wanted
