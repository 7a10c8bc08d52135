"""What the buffer waits for, in the form in which RQ's dashboards show it (lua/upcoming.lua)."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, NamedTuple

from buffer.keys import Ref
from buffer.models import Conversation
from buffer.script_calls import Args
from buffer.store import Store

PAGE = 50
"""Entries of the wake index in one call. Redis runs no other command meanwhile, so a call takes less than 1 ms."""

READ_MAX = 1000
"""Entries of one partition that are read at most: of those, many may be in flight and wait for nothing."""

FIELDS = 8

UpcomingState = Literal["open", "retry", "replying", "redriven", "paused"]
"""What a conversation waits for."""


class Upcoming(NamedTuple):
    """A conversation that waits for a moment. `opened_ms` is None without an open burst."""

    due_ms: int
    ref: Ref
    state: UpcomingState
    messages: int
    opened_ms: int | None
    conversation: Conversation


class UpcomingPage(NamedTuple):
    """The waiting conversations among `read` entries of the wake index, and the time of the server in ms."""

    now_ms: int
    read: int
    items: list[Upcoming]


def upcoming_args(offset: int, limit: int) -> Args:
    """Return the arguments of upcoming.lua."""
    return [offset, limit]


def read_upcoming(partition: int, reply: Sequence[Any]) -> UpcomingPage:
    """Return a page."""
    rows = (reply[at : at + FIELDS] for at in range(2, len(reply), FIELDS))
    return UpcomingPage(int(reply[0]), int(reply[1]), [_row(partition, row) for row in rows])


def _row(partition: int, row: Sequence[Any]) -> Upcoming:
    name, state, due_ms, messages, opened_ms, *who = row
    ref = Ref(partition, name.decode())
    opened = int(float(opened_ms)) if opened_ms else None
    conversation = Conversation(*(part.decode("utf-8", "replace") for part in who))
    word: UpcomingState = state.decode()
    return Upcoming(int(float(due_ms)), ref, word, int(messages), opened, conversation)


async def page_of(store: Store, partition: int, offset: int, limit: int = PAGE) -> UpcomingPage:
    """Read a page of a partition's wake index. Raises StoreError."""
    return read_upcoming(partition, await store.run("upcoming", partition, upcoming_args(offset, limit)))


async def soonest(store: Store, limit: int) -> tuple[int, list[Upcoming]]:
    """Return the time of the server in ms, and the conversations of all partitions that are due first.

    Raises StoreError.
    """
    now_ms = 0
    rows: dict[int, AsyncIterator[tuple[int, Upcoming]]] = {}
    heads: list[tuple[Upcoming, int]] = []
    for partition in range(store.settings.redis_partitions):
        rows[partition] = _rows(store, partition)
        now_ms = await _push_next(rows, partition, heads) or now_ms
    found: list[Upcoming] = []
    while heads and len(found) < limit:
        item, partition = heapq.heappop(heads)
        found.append(item)
        now_ms = await _push_next(rows, partition, heads) or now_ms
    return now_ms, found


async def _push_next(
    rows: dict[int, AsyncIterator[tuple[int, Upcoming]]], partition: int, heads: list[tuple[Upcoming, int]]
) -> int | None:
    """Move the next conversation of a partition to the heap. Return the time of the server, None at the end."""
    async for now_ms, item in rows[partition]:
        heapq.heappush(heads, (item, partition))
        return now_ms
    return None


async def _rows(store: Store, partition: int) -> AsyncIterator[tuple[int, Upcoming]]:
    for offset in range(0, READ_MAX, PAGE):
        page = await page_of(store, partition, offset)
        for item in page.items:
            yield page.now_ms, item
        if page.read < PAGE:
            return
