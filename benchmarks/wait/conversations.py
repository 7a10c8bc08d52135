"""Read recorded conversations, one row for each message but the last of a conversation, and cut them into turns."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

from buffer.window_policy import TURN_GAP_MS

COLUMNS = ("conv", "author", "gap_ms", "same_author", "chars")
"""The columns that a file must have. benchmarks/data/README.md explains them, and others may follow."""

GZIP_MAGIC = b"\x1f\x8b"
SEED = 20_260_101
"""Of everything that is left to chance: whose typing is seen, and the samples of the intervals."""


class BadData(ValueError):
    """The file cannot be replayed. The message names the file, the line and the column."""


class Message(NamedTuple):
    """One message. `luck`, between 0 and 1, decides whether its typing is seen: below the share that is."""

    author: str
    at_ms: int
    chars: int
    luck: float


class Turn(NamedTuple):
    """The messages of one author, none later than 60 s after the one before, with nobody else between.

    `is_answered`: somebody else wrote next. `pause_ms` is the time since the turn before if it was the author's as
    well, else None.
    """

    author: str
    messages: tuple[Message, ...]
    is_answered: bool
    pause_ms: int | None


class Conversation(NamedTuple):
    """A conversation of two people or more, its turns in order."""

    name: str
    turns: tuple[Turn, ...]


def read_conversations(path: Path) -> list[Conversation]:
    """Read a CSV file, compressed or not. Raises BadData, and OSError if the file cannot be read."""
    content = path.read_bytes()
    if content.startswith(GZIP_MAGIC):
        content = gzip.decompress(content)
    messages = _messages(csv.DictReader(content.decode().splitlines()), path.name)
    if not messages:
        raise BadData(f"{path.name}: there are no rows")
    if all(message.at_ms % 1000 == 0 for some in messages.values() for message in some):
        messages = {name: _spread(name, some) for name, some in messages.items()}
    return [Conversation(name, tuple(_turns(some))) for name, some in messages.items()]


def _spread(name: str, messages: list[Message]) -> list[Message]:
    """Return messages whose stamps are whole seconds with a random part of a second each, in the same order.

    Otherwise a window of 8.9 s would split as much as one of 8 s.
    """
    random, spread, before_ms = Random(f"{SEED}/{name}"), list[Message](), 0
    for message in messages:
        before_ms = max(before_ms, message.at_ms + random.randrange(1000))
        spread.append(message._replace(at_ms=before_ms))
    return spread


def _messages(rows: csv.DictReader[str], file: str) -> dict[str, list[Message]]:
    if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
        raise BadData(f"{file}, line 1: the column {missing[0]} is missing; these are needed: {', '.join(COLUMNS)}")
    found: dict[str, list[Message]] = {}
    last: tuple[str, int] | None = None  # the message that the row before announced: its author and time
    name, random = "", Random(SEED)
    for row in rows:
        where = f"{file}, line {rows.line_num}"
        if row["conv"] != name:
            _add_last(found.get(name), last)
            name, last = row["conv"], None
            if name in found:
                raise BadData(f"{where}: the rows of the conversation {name} are not together")
            found[name] = []
        author, at_ms = row["author"], last[1] if last else 0
        if (last and last[0] not in (author, OTHER)) or (last == (OTHER, at_ms) and found[name][-1].author == author):
            raise BadData(f"{where}: the author does not agree with same_author of the row before")
        found[name].append(Message(author, at_ms, _whole(row, "chars", where), random.random()))
        gap_ms, is_same = _whole(row, "gap_ms", where), _flag(row, "same_author", where)
        last = (author if is_same else OTHER, at_ms + gap_ms)
    _add_last(found.get(name), last)
    return found


OTHER = "another"
"""Somebody else than the author of the row. Only the last message of a conversation keeps this name."""


def _add_last(messages: list[Message] | None, last: tuple[str, int] | None) -> None:
    """Add the last message of a conversation, which has no row: its length is unknown and its typing never seen."""
    if not messages or last is None:
        return
    author, at_ms = last
    others = {message.author for message in messages} - {messages[-1].author}
    if author == OTHER and len(others) == 1:
        author = others.pop()
    messages.append(Message(author, at_ms, 0, 1.0))


def _whole(row: Mapping[str, str], column: str, where: str) -> int:
    try:
        value = round(float(row[column]))
    except (TypeError, ValueError, OverflowError):
        value = -1
    if value < 0:
        raise BadData(f"{where}: {column} must be a number from 0 on, and is {row[column]!r}")
    return value


def _flag(row: Mapping[str, str], column: str, where: str) -> bool:
    if row[column] not in ("0", "1"):
        raise BadData(f"{where}: {column} must be 0 or 1, and is {row[column]!r}")
    return row[column] == "1"


def _turns(messages: Iterable[Message]) -> Iterator[Turn]:
    some: list[Message] = []
    pause_ms: int | None = None
    for message in messages:
        if some and (message.author != some[-1].author or message.at_ms - some[-1].at_ms > TURN_GAP_MS):
            is_answered = message.author != some[-1].author
            yield Turn(some[0].author, tuple(some), is_answered, pause_ms)
            pause_ms = None if is_answered else message.at_ms - some[-1].at_ms
            some = []
        some.append(message)
    if some:
        yield Turn(some[0].author, tuple(some), False, pause_ms)
