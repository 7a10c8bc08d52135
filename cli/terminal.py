"""Text for people: colours on a terminal, columns, and URLs without secrets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO
from urllib.parse import urlsplit

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
"""ANSI codes by name."""


class Colours:
    """Colours text for one stream. Text for a file, or for a user who set NO_COLOR, stays plain."""

    def __init__(self, stream: TextIO) -> None:
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self.on = stream.isatty() and not plain

    def __call__(self, text: str, colour: str) -> str:
        """Return the text in a colour of CODES."""
        return f"\x1b[{CODES[colour]}m{text}\x1b[0m" if self.on else text


def columns(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Return one line per row, with the cells of each column aligned."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]


def redact_url(url: str) -> str:
    """Return the URL without its password and its query, which may hold a secret."""
    place, question_mark, _ = url.partition("?")
    parts = urlsplit(place)
    login, at, host = parts.netloc.rpartition("@")
    if at:
        place = parts._replace(netloc=f"{login.partition(':')[0]}:***@{host}").geturl()
    return place + ("?***" if question_mark else "")


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration_text(ms: float) -> str:
    """Return a duration in its largest whole unit, with two units from minutes on."""
    seconds = round(ms / 1000)
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 5 and rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"


def moment_text(at_ms: int) -> str:
    """Return a moment in the time zone of this machine, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short_text(ms: float | None) -> str:
    """Return a duration that is often below a second. None: '-'."""
    if ms is None:
        return "-"
    if ms < 1000:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 60_000 else duration_text(ms)


def share_text(share: float | None) -> str:
    """Return a share as percent. None: '-'."""
    return "-" if share is None else f"{share * 100:.1f} %"


def clock_text(at_ms: int) -> str:
    """Return the time of the day of a moment in the time zone of this machine."""
    return moment_text(at_ms).partition(" ")[2]
