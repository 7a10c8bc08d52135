"""What a running system has counted and holds, read for people: plain reads, each of bounded cost."""

from __future__ import annotations

from buffer.insight_models import ChannelTotals, ConversationView, Erased, FlushRecord, Gauges, Page
from buffer.keys import Ref
from buffer.models import Conversation
from buffer.operator_models import Pending
from buffer.person_store import People
from buffer.store import Store


class Insights:
    """Reads over all partitions of a store. Each may raise StoreUnavailable or StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def totals(self) -> list[ChannelTotals]:
        """Return the counters and histograms of every channel."""
        raise NotImplementedError

    async def gauges(self) -> Gauges:
        """Return the present numbers of all partitions."""
        raise NotImplementedError

    async def flushes(
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
        raise NotImplementedError

    async def pending(self, limit: int, cursor: str | None = None) -> Page[Pending]:
        """Return conversations of the wake index, soonest first. Raises ValueError for a cursor of no page."""
        raise NotImplementedError

    async def look(self, ref: Ref) -> ConversationView | None:
        """Return what a conversation holds and waits for, None if it is unknown."""
        return await People(self._store).look(ref)

    async def erase(self, gateway: str, channel: str, peer: str) -> Erased:
        """Delete everything that is held of a person. Returns how much that was."""
        return await People(self._store).erase(Conversation(gateway, channel, peer))
