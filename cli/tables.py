"""Tables: with colours and lines on a terminal, aligned plain text everywhere else.

Whatever comes from outside is shown as it is, but no control character of it reaches the terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

from cli.terminal import columns

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


class Column(NamedTuple):
    """A column: its head, and how a terminal sets it.

    Where the terminal is narrow, columns that are `optional` are left out, the last one first. One that `wraps` takes
    several lines there; one that `is_whole` too does so only if leaving out others does not make room for it.
    """

    head: str
    is_number: bool = False
    wraps: bool = False
    optional: bool = False
    is_whole: bool = False


class Cell(NamedTuple):
    """A text with a style of rich, which only a terminal shows."""

    text: str
    style: str = ""


Row = Sequence["str | Cell"]

GAP = 2
"""Characters between two columns."""

WRAPPED_MIN = 24
"""Characters that a column which wraps has at least, before others are left out for it."""


def plain(text: str) -> str:
    """Return a text in which nothing can steer a terminal: `?` for each character that is not printable."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in text)


def print_table(heads: Sequence[Column], rows: Iterable[Row]) -> None:
    """Print a table to stdout."""
    if is_terminal(sys.stdout):
        console = console_of(sys.stdout)
        console.print(table_of(heads, rows, console.width))
        return
    lines = [tuple(column.head for column in heads), *(tuple(_cell(one).text for one in row) for row in rows)]
    print(*columns(lines, indent=""), sep="\n")


def print_pairs(rows: Iterable[tuple[str, str | Cell]]) -> None:
    """Print names, each with its value, to stdout."""
    if is_terminal(sys.stdout):
        console_of(sys.stdout).print(pairs_of(rows))
        return
    print(*columns([(name, _cell(value).text) for name, value in rows], indent=""), sep="\n")


def is_terminal(stream: TextIO) -> bool:
    """Return True if the stream shows tables: a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb")


def console_of(stream: TextIO) -> Console:
    """Return a console of rich. With NO_COLOR it writes no codes but those of the cursor."""
    # Here and below, rich is imported late: a script need not wait for it.
    from rich.console import Console

    return Console(
        file=stream,
        color_system=None if "NO_COLOR" in os.environ else "auto",
        highlight=False,
        markup=False,
        emoji=False,
    )


def table_of(heads: Sequence[Column], rows: Iterable[Row], width: int, *, fills: bool = False) -> Table:
    """Return a table for a terminal of `width` characters. One that `fills` it is as wide."""
    from rich import box
    from rich.table import Table

    cells = [[_cell(one) for one in row] for row in rows]
    needed = _needed(heads, cells)
    chosen = _fitting(heads, needed, width)
    has_room = _width(needed, chosen) <= width
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, GAP - 1, 0, 0),
        show_edge=False,
        header_style="bold",
        width=width if fills else None,
    )
    for column in (heads[at] for at in chosen):
        table.add_column(
            column.head,
            justify="right" if column.is_number else "left",
            no_wrap=not column.wraps or (column.is_whole and has_room),
            overflow="fold" if column.wraps else "ellipsis",
        )
    for row in cells:
        table.add_row(*(text_of(row[at]) for at in chosen))
    return table


def _needed(heads: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[int]:
    """Return the characters that each column has at least, before others are left out for it."""
    widths = [max(len(text) for text in (head.head, *(row[at].text for row in rows))) for at, head in enumerate(heads)]
    return [
        min(size, WRAPPED_MIN) if head.wraps and not head.is_whole else size
        for head, size in zip(heads, widths, strict=True)
    ]


def _width(needed: Sequence[int], chosen: Sequence[int]) -> int:
    return sum(needed[at] + GAP for at in chosen)


def _fitting(heads: Sequence[Column], needed: Sequence[int], width: int) -> list[int]:
    """Return the columns that a terminal of `width` characters has room for."""
    chosen = list(range(len(heads)))
    while _width(needed, chosen) > width:
        optional = [at for at in chosen if heads[at].optional]
        if not optional:
            break
        chosen.remove(optional[-1])
    return chosen


def pairs_of(rows: Iterable[tuple[str, str | Cell]]) -> Table:
    """Return names, each with its value, for a terminal."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(text_of(Cell(name, "dim")), text_of(value))
    return grid


def text_of(cell: str | Cell) -> Text:
    """Return a cell as text of rich."""
    from rich.text import Text

    text, style = _cell(cell)
    return Text(text, style)


def _cell(cell: str | Cell) -> Cell:
    text, style = cell if isinstance(cell, Cell) else Cell(cell)
    return Cell(plain(text), style)
