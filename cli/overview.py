"""What waits in the buffer, counted for people: `status`, `check`, and the start and end of `up`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from buffer.held_agent_calls import HeldAgent
from buffer.held_agents import HeldAgents
from buffer.insights import NOT_OVERDUE, OVERDUE_MS, Insights
from buffer.operator_models import Pending
from buffer.reply_models import HeldChannel
from buffer.reply_store import Replies
from buffer.store import Store
from cli.terminal import count_of, duration_text
from config.logs import mask_phones

PAGE = 100
"""Conversations of one call, which takes about 1 ms of the server's time."""

READ_MAX, READ_MIN = 1_000, 20
"""Conversations whose state is read, of all partitions together and of each one at least. The others are counted."""


@dataclass
class Overview:
    """The numbers of conversations by state. `uncounted` are those whose state was not read.

    `channels` are the gateways and names of the channels that were counted, or that those conversations belong to.
    """

    now_ms: int = 0
    states: Counter[str] = field(default_factory=Counter)
    uncounted: int = 0
    dead: int = 0
    oldest_dead_ms: int | None = None
    doubts: int = 0
    oldest_doubt_ms: int | None = None
    channels: set[tuple[str, str]] = field(default_factory=set)
    held: list[HeldChannel] = field(default_factory=list)
    agents: list[HeldAgent] = field(default_factory=list)
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

    @property
    def oldest_overdue_ms(self) -> int:
        """Return for how long the oldest overdue conversation is due, 0 if none is overdue."""
        return self.now_ms - self.oldest_due_ms if self.overdue and self.oldest_due_ms is not None else 0

    def add(self, found: Pending) -> None:
        """Count a conversation."""
        self.states[found.state] += 1
        self.channels.add(found.conversation[:2])
        if found.state in NOT_OVERDUE:
            return
        self.oldest_due_ms = min(found.due_ms, self.oldest_due_ms or found.due_ms)
        self.overdue += self.is_overdue(found)

    def is_overdue(self, found: Pending) -> bool:
        """Return True if the time of a conversation has passed without a claim."""
        return found.state not in NOT_OVERDUE and self.now_ms - found.due_ms > OVERDUE_MS

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
        return count_of(self.dead, "dead letter") + self._age_text(self.dead, self.oldest_dead_ms)

    def doubt_text(self) -> str:
        """Return the number of parts in doubt and the age of the oldest."""
        return f"{count_of(self.doubts, 'part')} of answers{self._age_text(self.doubts, self.oldest_doubt_ms)}"

    def held_texts(self) -> list[str]:
        """Return for each held channel since when its replies are held, and why."""
        return [
            f"{gateway}/{mask_phones(channel)}: its replies wait since {duration_text(self.now_ms - since_ms)} "
            f"({reason or 'no reason is known'})"
            for gateway, channel, since_ms, reason in self.held
        ]

    def agent_texts(self) -> list[str]:
        """Return for each agent that is held since when, how many batches wait for it, and why."""
        return [
            f"{one.address} fails for everyone since {duration_text(self.now_ms - one.since_ms)}: "
            f"{count_of(one.waiting, 'burst')} wait{'s' if one.waiting == 1 else ''} for it "
            f"({one.reason or 'no reason is known'})"
            for one in self.agents
        ]

    def _age_text(self, number: int, oldest_ms: int | None) -> str:
        if oldest_ms is None:
            return ""
        return f", {'the oldest ' if number > 1 else ''}of {duration_text(self.now_ms - oldest_ms)} ago"


async def overview_of(store: Store) -> Overview:
    """Read the numbers. Raises StoreError."""
    overview, replies = Overview(), Replies(store)
    overview.channels.update(await Insights(store).channels())
    for partition in range(store.settings.redis_partitions):
        await _count(store, partition, overview)
        letters = await store.dead_letters(partition, 0, 1)
        overview.dead += letters.total
        for letter in letters.page:
            overview.oldest_dead_ms = min(letter.died_ms, overview.oldest_dead_ms or letter.died_ms)
        doubts = await replies.doubts(partition, 0, 1)
        overview.doubts += doubts.total
        for doubt in doubts.page:
            overview.oldest_doubt_ms = min(doubt.since_ms, overview.oldest_doubt_ms or doubt.since_ms)
    overview.held = await replies.held_channels(sorted(overview.channels))
    overview.agents = (await HeldAgents(store).now()).held
    return overview


async def _count(store: Store, partition: int, overview: Overview) -> None:
    """Count a partition. The soonest conversations are read, and the first ones that are not due: calls in flight."""
    report = await store.snapshot(partition, 0)
    overview.now_ms, pending, due = report["now_ms"], report["pending"], report["overdue"]
    share = max(READ_MIN, READ_MAX // store.settings.redis_partitions) // 2
    found = {one.ref: one for one in await _read(store, partition, 0, share)}
    all_overdue = share == len(found) == sum(map(overview.is_overdue, found.values()))
    if pending > share:
        found.update((one.ref, one) for one in await _read(store, partition, max(share, due), share))
    for one in found.values():
        overview.add(one)
    overview.overdue += max(0, due - share) if all_overdue else 0
    overview.uncounted += max(0, pending - len(found))


async def _read(store: Store, partition: int, first: int, count: int) -> list[Pending]:
    rows: list[Pending] = []
    while len(rows) < count:
        _, page = await store.pending(partition, first + len(rows), min(PAGE, count - len(rows)))
        rows += page
        if len(page) < PAGE:
            break
    return rows
