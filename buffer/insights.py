"""What a running system has counted and holds, read for people: reads over all partitions, each of bounded cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

from buffer import operator_calls
from buffer.errors import store_error
from buffer.index_pages import IndexPages
from buffer.insight_models import ChannelTotals, ConversationView, Erased, FlushRecord, Gauges, Page
from buffer.insight_replies import read_cursor, read_record, read_totals, write_cursor
from buffer.keys import Ref, partition_of
from buffer.models import Conversation
from buffer.operator_models import Pending
from buffer.person_store import People
from buffer.store import Store

READ_AT_ONCE = 100
"""Tallies, or records of one partition, of one read."""

OVERDUE_READ_MAX = 100
"""The soonest conversations of a partition, whose deadlines are read. Behind them the wake index tells."""

OVERDUE_MS = 2_000
"""A conversation counts as overdue after this time: a healthy worker is faster even on a busy machine."""

NOT_OVERDUE = ("in_flight", "paused")

LIMIT_MAX = 1000
"""Items of one page at most."""

Place = tuple[int, int, int]
"""Where a record stands among those of all partitions: the two numbers of its stream id, and the partition."""


@dataclass(slots=True, frozen=True)
class FlushFilter:
    """The records that somebody asks for. None stands for any."""

    ref: str | None = None
    outcome: str | None = None
    gateway: str | None = None
    channel: str | None = None

    def takes(self, record: FlushRecord) -> bool:
        """Return True if the record is asked for."""
        gateway, channel, _ = record.conversation
        asked = (
            (self.ref, record.ref),
            (self.outcome, record.outcome),
            (self.gateway, gateway),
            (self.channel, channel),
        )
        return all(wanted in (None, found) for wanted, found in asked)

    def partitions(self, count: int) -> Sequence[int]:
        """Return the partitions that can have such records. Raises ValueError for a ref that is none."""
        if self.ref is not None:
            one = Ref.parse(self.ref).partition
            return [one] if one < count else []
        if self.gateway is not None and self.channel is not None:
            return [partition_of(self.gateway, self.channel, count)]
        return range(count)


class Insights:
    """Reads over all partitions of a store. Each may raise StoreUnavailable or StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._count = store.settings.redis_partitions

    async def totals(self) -> list[ChannelTotals]:
        """Return the counters and histograms of every channel."""
        channels = await self._read(("smembers", self._key(one, "channels")) for one in range(self._count))
        named = [(one, channel) for one, found in enumerate(channels) for channel in sorted(found or ())]
        totals: list[ChannelTotals] = []
        for start in range(0, len(named), READ_AT_ONCE):
            some = named[start : start + READ_AT_ONCE]
            tallies = await self._read(("hgetall", self._tally_key(*place)) for place in some)
            totals += [read_totals(channel, tally or {}) for (_, channel), tally in zip(some, tallies, strict=True)]
        return totals

    async def gauges(self) -> Gauges:
        """Return the present numbers of all partitions."""
        every = range(self._count)
        reports = await asyncio.gather(*(self._store.snapshot(one, 0) for one in every))
        soonest = await asyncio.gather(*(self._store.pending(one, 0, OVERDUE_READ_MAX) for one in every))
        doubts = await self._read(("zcard", self._key(one, "doubt")) for one in every)
        late = [_late_ms(now_ms, page) for now_ms, page in soonest]
        counters: Counter[str] = Counter()
        for report in reports:
            counters.update(report["counters"])
        return Gauges(
            now_ms=max(report["now_ms"] for report in reports),
            pending=sum(report["pending"] for report in reports),
            overdue=sum(_overdue(one, report["overdue"]) for one, report in zip(late, reports, strict=True)),
            oldest_overdue_ms=max((ms for one in late for ms in one), default=0),
            dead=sum(report["dead"] for report in reports),
            doubts=sum(found or 0 for found in doubts),
            idle=sum(report["idle"] for report in reports),
            partition_counters=dict(counters),
        )

    async def flushes(  # noqa: PLR0913 - a page and what is asked for
        self,
        limit: int,
        cursor: str | None = None,
        *,
        ref: str | None = None,
        outcome: str | None = None,
        gateway: str | None = None,
        channel: str | None = None,
    ) -> Page[FlushRecord]:
        """Return records of what ended, newest first. Raises ValueError for a cursor that no page has returned."""
        asked = FlushFilter(ref, outcome, gateway, channel)
        partitions = asked.partitions(self._count)
        after, last = _place_of(cursor), None
        items: list[FlushRecord] = []
        while True:
            found, is_end = await self._records(partitions, after, min(_limit(limit) + 1, READ_AT_ONCE))
            for place, record in found:
                if asked.takes(record):
                    if len(items) == _limit(limit):
                        return Page(items, write_cursor(last or place))
                    items.append(record)
                    last = place
                after = place
            if is_end:
                return Page(items)

    async def pending(self, limit: int, cursor: str | None = None) -> Page[Pending]:
        """Return conversations of the wake index, soonest first. Raises ValueError for a cursor of no page."""
        places, following, total = await IndexPages(self._store, "wake").page(_limit(limit), cursor)
        refs = [Ref.parse(place.id) for place in places]
        named = {one: [ref.hash for ref in refs if ref.partition == one] for one in {ref.partition for ref in refs}}
        pages = await asyncio.gather(*(self._pending_of(one, hashes) for one, hashes in named.items()))
        rows = {row.ref: row for page in pages for row in page}
        return Page([rows[str(ref)] for ref in refs if str(ref) in rows], following, total)

    async def _pending_of(self, partition: int, hashes: Sequence[str]) -> list[Pending]:
        """Return those of the conversations that still wait."""
        args = operator_calls.pending_args(0, 0, hashes)
        _, rows = operator_calls.read_pending(await self._store.run("pending", partition, args))
        return rows

    async def look(self, ref: Ref) -> ConversationView | None:
        """Return what a conversation holds and waits for, None if it is unknown."""
        return await People(self._store).look(ref)

    async def erase(self, gateway: str, channel: str, peer: str) -> Erased:
        """Delete everything that is held of a person. Returns how much that was."""
        return await People(self._store).erase(Conversation(gateway, channel, peer))

    async def _records(
        self, partitions: Sequence[int], after: Place | None, count: int
    ) -> tuple[list[tuple[Place, FlushRecord]], bool]:
        """Return the next records after a place, newest first, and True if there are no others.

        They end where a partition may have more: so none of another partition is missing between them.
        """
        streams = await self._read(
            ("xrevrange", self._key(one, "history"), _newest(after, one), "-", count) for one in partitions
        )
        found: list[tuple[Place, FlushRecord]] = []
        horizons: list[Place] = []
        for one, entries in zip(partitions, streams, strict=True):
            read = [(_place(entry_id, one), read_record(fields)) for entry_id, fields in entries or []]
            found += read
            horizons += [read[-1][0]] if len(read) == count else []
        found.sort(key=lambda item: _age(item[0]))
        end = min(map(_age, horizons), default=None)
        return [item for item in found if end is None or _age(item[0]) <= end], end is None

    async def _read(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Run commands, each the name of its method and the arguments, in one pipeline.

        The reply is None for a key of another type: it must not hide the others.
        """
        pipeline = self._store.client.pipeline(transaction=False)
        for method, *args in commands:
            getattr(pipeline, method)(*args)
        try:
            replies = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            raise store_error(error) from error
        return [_known(reply) for reply in replies]

    def _key(self, partition: int, kind: str) -> str:
        return self._store.keys.of(partition, kind)

    def _tally_key(self, partition: int, channel: bytes) -> bytes:
        return f"{self._key(partition, 'tally')}:".encode() + channel


def _known(reply: Any) -> Any:
    if isinstance(reply, ResponseError):
        return None
    if isinstance(reply, RedisError):
        raise store_error(reply) from reply
    return reply


def _limit(limit: int) -> int:
    return min(max(limit, 1), LIMIT_MAX)


def _late_ms(now_ms: int, page: Iterable[Pending]) -> list[int]:
    """Return for how long each conversation is overdue, of those that are."""
    late = (now_ms - found.due_ms for found in page if found.state not in NOT_OVERDUE)
    return [ms for ms in late if ms > OVERDUE_MS]


def _overdue(late: Sequence[int], due: int) -> int:
    """Return how many conversations of a partition are overdue. If all that were read are, so are those behind them."""
    return max(len(late), due) if len(late) == OVERDUE_READ_MAX else len(late)


def _place(entry_id: bytes, partition: int) -> Place:
    first, _, second = entry_id.decode().partition("-")
    return int(first), int(second), partition


def _place_of(cursor: str | None) -> Place | None:
    if not cursor:
        return None
    first, second, partition = read_cursor(cursor, 3)
    return first, second, partition


def _age(place: Place) -> Place:
    """Return what sorts records from new to old."""
    first, second, partition = place
    return -first, -second, partition


def _newest(after: Place | None, partition: int) -> str:
    """Return the id from which the records of a partition are read downwards."""
    if after is None:
        return "+"
    first, second, last = after
    return f"{'(' if partition <= last else ''}{first}-{second}"
