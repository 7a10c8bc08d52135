"""Pages over the sorted sets of all partitions, soonest first: the wake index, the dead letters, the parts in doubt.

A cursor names the last entry of its page. So entries that go meanwhile shift nothing, and an entry that keeps its time
is on one page.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from redis.exceptions import RedisError

from buffer.errors import store_error
from buffer.insight_models import NO_CURSOR
from buffer.store import Store

Index = Literal["dead", "doubt", "wake"]

PARTITIONS_PER_READ = 64
"""Partitions that one pipeline reads."""


class Place(NamedTuple):
    """The place of an entry in the list: its time in ms, and its id, which begins with its partition."""

    at_ms: int
    id: str


FIRST = Place(-1, "")
"""The place before all entries."""


class IndexPages:
    """The pages of one index. The ids of the wake index are refs, whose partition its members lack."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index

    async def page(self, limit: int, cursor: str | None) -> tuple[list[Place], str | None, int]:
        """Return the places of a page, the cursor of the next one, and how many entries there are in all.

        Raises ValueError for a cursor that no page has returned.
        """
        after = FIRST if cursor is None else _place_of(cursor)
        total, found = 0, list[Place]()
        count = self._store.settings.redis_partitions
        for first in range(0, count, PARTITIONS_PER_READ):
            partitions = range(first, min(first + PARTITIONS_PER_READ, count))
            sizes, starts = await self._starts(partitions, after)
            total += sum(sizes)
            read = await self._read(partitions, starts, after, limit + 1)
            found = heapq.nsmallest(limit + 1, [*found, *read])
        page = found[:limit]
        return page, _cursor_of(page[-1]) if len(found) > limit else None, total

    async def _starts(self, partitions: Iterable[int], after: Place) -> tuple[list[int], list[int]]:
        """Return how many entries each partition has, and the rank of the first that may come after a place."""
        pipeline = self._store.client.pipeline(transaction=False)
        for partition in partitions:
            key, member = self._key(partition), after.id.removeprefix(self._prefix(partition))
            pipeline.zcard(key)
            pipeline.zcount(key, "-inf", f"({after.at_ms}")
            pipeline.zscore(key, member)
            pipeline.zrank(key, member)
        replies = [whole(reply) for reply in await execute(pipeline)]
        sizes, earlier, times, ranks = (replies[at::4] for at in range(4))
        starts = [
            # an entry that has another time by now stands elsewhere
            max(before, rank + 1) if at_ms == after.at_ms else max(0, before)
            for before, at_ms, rank in zip(earlier, times, ranks, strict=True)
        ]
        return [max(0, size) for size in sizes], starts

    async def _read(self, partitions: Sequence[int], starts: Sequence[int], after: Place, limit: int) -> list[Place]:
        """Return at most `limit` entries of each partition that come after a place."""
        pipeline = self._store.client.pipeline(transaction=False)
        for partition, start in zip(partitions, starts, strict=True):
            pipeline.zrange(self._key(partition), start, start + limit - 1, withscores=True)
        found, again = list[Place](), dict[int, int]()
        for partition, start, reply in zip(partitions, starts, await execute(pipeline), strict=True):
            rows = self._places(partition, reply)
            later = [place for place in rows if place > after]
            found += later
            if len(later) < len(rows) == limit:  # some of the same moment stand before the place, whose entry is gone
                again[partition] = start + limit
        if again:
            found += await self._read(list(again), list(again.values()), after, limit)
        return found

    def _places(self, partition: int, reply: Any) -> list[Place]:
        """Return the places of a reply, none for a key that cannot be read."""
        rows = reply if isinstance(reply, list) else []
        return [Place(int(at_ms), self._prefix(partition) + member.decode()) for member, at_ms in rows]

    def _key(self, partition: int) -> str:
        return self._store.keys.of(partition, self._index)

    def _prefix(self, partition: int) -> str:
        return f"{partition}-" if self._index == "wake" else ""


async def execute(pipeline: Any) -> list[Any]:
    """Run a pipeline. The reply for a key that cannot be read is an error, which stops no other."""
    try:
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
    except (RedisError, OSError) as error:
        raise store_error(error) from error
    return replies


def whole(value: Any) -> int:
    """Return a number that Redis gave as an integer, as text or as a float. -1: none, or a key that cannot be read."""
    try:
        return int(float(value))
    except (TypeError, ValueError):
        return -1


def _cursor_of(place: Place) -> str:
    return f"{place.at_ms}~{place.id}"


def _place_of(cursor: str) -> Place:
    at_ms, tilde, held = cursor.partition("~")
    if not tilde or not (at_ms.isascii() and at_ms.isdigit()) or len(at_ms) > 15 or not held:
        raise ValueError(NO_CURSOR)
    return Place(int(at_ms), held)
