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
    """A column: its head, and how it is set on a terminal. One that `wraps` gives way where the terminal is narrow."""

    head: str
    is_number: bool = False
    wraps: bool = False


class Cell(NamedTuple):
    """A text with a style of rich, which only a terminal shows."""

    text: str
    style: str = ""


Row = Sequence["str | Cell"]


def plain(text: str) -> str:
    """Return a text in which nothing can steer a terminal: `?` for each character that is not printable."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in text)


def print_table(heads: Sequence[Column], rows: Iterable[Row]) -> None:
    """Print a table to stdout."""
    if is_terminal(sys.stdout):
        console_of(sys.stdout).print(table_of(heads, rows))
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


def table_of(heads: Sequence[Column], rows: Iterable[Row], *, width: int | None = None) -> Table:
    """Return a table for a terminal, as wide as its rows, or of `width` characters."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", width=width)
    for head, is_number, wraps in heads:
        table.add_column(
            head, justify="right" if is_number else "left", no_wrap=not wraps, overflow="fold" if wraps else "ellipsis"
        )
    for row in rows:
        table.add_row(*map(text_of, row))
    return table


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
