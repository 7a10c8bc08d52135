"""What a running system has counted and holds, read for people: reads over all partitions, each of bounded cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from buffer import operator_calls
from buffer.index_pages import IndexPages
from buffer.insight_models import ChannelTotals, ConversationView, Erased, FlushRecord, Gauges, Page
from buffer.insight_replies import read_channel, read_cursor, read_record, read_totals, write_cursor
from buffer.keys import Ref, partition_of
from buffer.models import Conversation
from buffer.operator_models import Pending
from buffer.person_store import People
from buffer.reads import batched, read_all
from buffer.store import Store
from buffer.tallies import fold

READ_AT_ONCE = 100
"""Tallies, or records of one partition, of one read."""

PARTITIONS_AT_ONCE = 8
"""Partitions whose channels, or next records, one read takes."""

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
        named = await self._channels()
        tallies = await self._read((("hgetall", self._tally_key(*place)) for place in named), READ_AT_ONCE)
        return [read_totals(channel, tally or {}) for (_, channel), tally in zip(named, tallies, strict=True)]

    async def channels(self) -> list[tuple[str, str]]:
        """Return the gateway and the name of every channel that counts anything for itself."""
        return [channel for _, member in await self._channels() if (channel := read_channel(member))[0]]

    async def _channels(self) -> list[tuple[int, bytes]]:
        """Return the partition of every channel, and its member of the key `channels`."""
        await self.fold()
        keys = (self._key(one, "channels") for one in range(self._count))
        channels = await self._read((("smembers", key) for key in keys), PARTITIONS_AT_ONCE)
        return [(one, member) for one, found in enumerate(channels) for member in sorted(found or ())]

    async def fold(self) -> None:
        """Have what append has counted lately added to the tallies, where there is any."""
        keys = (self._key(one, "uncounted") for one in range(self._count))
        present = await self._read((("exists", key) for key in keys), READ_AT_ONCE)
        for some in batched((one for one, found in enumerate(present) if found), PARTITIONS_AT_ONCE):
            await asyncio.gather(*(fold(self._store, one) for one in some))

    async def gauges(self) -> Gauges:
        """Return the present numbers of all partitions, read one after the other: Redis serves others in between."""
        every = range(self._count)
        reports = [await self._store.snapshot(one, 0) for one in every]
        late = [_late_ms(*await self._store.pending(one, 0, OVERDUE_READ_MAX)) for one in every]
        doubts = await self._read((("zcard", self._key(one, "doubt")) for one in every), READ_AT_ONCE)
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

    async def history_mark(self) -> list[Any]:
        """Return what differs once a record has come or gone: the length and the newest entry of each history."""
        keys = [self._key(one, "history") for one in range(self._count)]
        lengths = await self._read((("xlen", key) for key in keys), READ_AT_ONCE)
        newest = await self._read((("xrevrange", key, "+", "-", 1) for key in keys), READ_AT_ONCE)
        return [*lengths, *([entry_id for entry_id, _ in found or []] for found in newest)]

    async def pending(self, limit: int, cursor: str | None = None, offset: int = 0) -> Page[Pending]:
        """Return conversations of the wake index, soonest first. Raises ValueError for a cursor of no page.

        `offset` conversations behind the cursor are left out, without being read.
        """
        places, following, total = await IndexPages(self._store, "wake").page(_limit(limit), cursor, offset)
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
        reads = (("xrevrange", self._key(one, "history"), _newest(after, one), "-", count) for one in partitions)
        streams = await self._read(reads, PARTITIONS_AT_ONCE)
        found: list[tuple[Place, FlushRecord]] = []
        horizons: list[Place] = []
        for one, entries in zip(partitions, streams, strict=True):
            read = [(_place(entry_id, one), read_record(fields)) for entry_id, fields in entries or []]
            found += read
            horizons += [read[-1][0]] if len(read) == count else []
        found.sort(key=lambda item: _age(item[0]))
        end = min(map(_age, horizons), default=None)
        return [item for item in found if end is None or _age(item[0]) <= end], end is None

    async def _read(self, commands: Iterable[tuple[Any, ...]], at_once: int) -> list[Any]:
        return await read_all(self._store, commands, at_once)

    def _key(self, partition: int, kind: str) -> str:
        return self._store.keys.of(partition, kind)

    def _tally_key(self, partition: int, channel: bytes) -> bytes:
        return f"{self._key(partition, 'tally')}:".encode() + channel


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
