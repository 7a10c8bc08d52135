"""Words on a terminal: colours only where there is one, and columns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Colours:
    """Colours text for one stream, or leaves it alone."""

    def __init__(self, stream: TextIO) -> None:
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self.on = stream.isatty() and not plain

    def __call__(self, text: str, colour: str) -> str:
        """The text in a colour of CODES."""
        return f"\x1b[{CODES[colour]}m{text}\x1b[0m" if self.on else text


def columns(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Lines in which the cells of a column start below each other."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
