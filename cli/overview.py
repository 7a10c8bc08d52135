"""What waits in the buffer, counted for people: `status`, `check`, and the start and end of `up`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from buffer.operator_models import Pending
from buffer.store import Store
from cli.terminal import count_of, duration_text

PAGE = 200
"""Conversations of one call, which takes less than 1 ms of the server's time."""

COUNTED_MAX = 20_000
"""Conversations of a partition whose state is read. Of more, the rest is counted without its state."""

OVERDUE_MS = 2_000
"""A conversation counts as overdue after this time: a healthy worker is faster even on a busy machine."""

NOT_OVERDUE = ("in_flight", "paused")


@dataclass
class Overview:
    """The numbers of conversations by state. `uncounted` are those beyond COUNTED_MAX."""

    now_ms: int = 0
    states: Counter[str] = field(default_factory=Counter)
    uncounted: int = 0
    dead: int = 0
    oldest_dead_ms: int | None = None
    overdue: int = 0
    oldest_due_ms: int | None = None

    @property
    def in_flight(self) -> int:
        """Return the number of calls in flight."""
        return self.states["in_flight"]

    @property
    def waiting(self) -> int:
        """Return the number of conversations that wait, for whatever reason."""
        return self.states.total() + self.uncounted - self.in_flight

    def add(self, found: Pending) -> None:
        """Count a conversation."""
        self.states[found.state] += 1
        if found.state in NOT_OVERDUE:
            return
        self.oldest_due_ms = min(found.due_ms, self.oldest_due_ms or found.due_ms)
        self.overdue += self.now_ms - found.due_ms > OVERDUE_MS

    def due_text(self) -> str:
        """Return when the next conversation is due, or for how long the oldest is overdue."""
        if self.oldest_due_ms is None:
            return "nothing is due"
        late_ms = self.now_ms - self.oldest_due_ms
        if late_ms > OVERDUE_MS:
            return f"{self.overdue} overdue, the oldest by {duration_text(late_ms)}"
        return f"the next is due in {duration_text(-late_ms)}" if late_ms < 0 else "the next is due now"

    def dead_text(self) -> str:
        """Return the number of dead letters and the age of the oldest."""
        text = count_of(self.dead, "dead letter")
        if self.oldest_dead_ms is not None:
            text += (
                f", {'the oldest ' if self.dead > 1 else ''}of {duration_text(self.now_ms - self.oldest_dead_ms)} ago"
            )
        return text


async def overview_of(store: Store) -> Overview:
    """Read the numbers. Raises StoreError."""
    overview = Overview()
    for partition in range(store.settings.redis_partitions):
        await _count(store, partition, overview)
        letters = await store.dead_letters(partition, 0, 1)
        overview.dead += letters.total
        for letter in letters.page:
            overview.oldest_dead_ms = min(letter.died_ms, overview.oldest_dead_ms or letter.died_ms)
    return overview


async def _count(store: Store, partition: int, overview: Overview) -> None:
    for offset in range(0, COUNTED_MAX, PAGE):
        overview.now_ms, page = await store.pending(partition, offset, PAGE)
        for found in page:
            overview.add(found)
        if len(page) < PAGE:
            return
    report = await store.snapshot(partition, 0)
    overview.uncounted += max(0, report["pending"] - COUNTED_MAX)
