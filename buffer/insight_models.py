"""What people read of a running system: counters, histograms, gauges, and the records of flushes that ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

from buffer.models import Conversation
from buffer.operator_models import PendingState

Item = TypeVar("Item")

FlushOutcome = Literal["acked", "superseded", "dead", "discarded", "dropped", "failed_after_sent"]
"""How a flush, a burst or a part ended. `superseded`: taken back, because the person went on (docs/restart.md).

`dropped` and `failed_after_sent` are about one part of an answer.
"""

ConversationState = PendingState | Literal["idle"]
"""What a conversation waits for, `idle` if it holds nothing (lua/look.lua)."""

GAP_BUCKETS = 24
GAP_FIRST_MS = 250.0
GAP_RATIO = 480.0
"""The last bound of the gap histogram, 120 s, divided by its first."""

GAP_BOUNDS_MS = tuple(GAP_FIRST_MS * GAP_RATIO ** (i / (GAP_BUCKETS - 1)) for i in range(GAP_BUCKETS))

BOUNDS_MS: dict[str, tuple[float, ...]] = {
    "gap": GAP_BOUNDS_MS,
    "gap:read": GAP_BOUNDS_MS,
    "lateness_ms": (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 60000, math.inf),
    "wait_ms": (
        *(250, 500, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 8000, 10000, 12000, 15000, 20000, 30000, 60000),
        math.inf,
    ),
    "agent_ms": (100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, math.inf),
    "reply_ms": (100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, math.inf),
}
"""The upper bounds in ms of the buckets of each histogram. lua/include/buckets.lua and burst.lua have the same."""

CHANNEL_COUNTERS: tuple[str, ...] = (
    "messages_accepted",
    "messages_duplicate",
    "messages_discarded",
    "messages_stale",
    "messages_broken",
    "messages_full",
    "flushes_quiet",
    "flushes_max_messages",
    "flushes_max_bytes",
    "flushes_max_wait",
    "flushes_keyword",
    "flushes_manual",
    "flushes_disabled",
    "flushes_single",
    "flushes_superseded",
    "flush_messages",
    "turns",
    "turns_split",
    "bursts_split",
    "claims_busy",
    "acked",
    "agent_failures",
    "dead_letters",
    "redriven",
    "leases_recovered",
    "answers_again",
    "parts_sent",
    "parts_refused",
    "parts_in_doubt",
    "doubts_resolved",
    "doubts_dropped",
    "takeovers",
    "failed_after_sent",
)
"""The counters of a channel, the same names as in the scripts. docs/counters.md tells what each counts."""


NO_CURSOR = "this is no cursor of this list: take `next_cursor` of the page before, or leave it out to begin anew"
"""What a cursor that no page has returned is told."""


@dataclass(slots=True, frozen=True)
class Histogram:
    """How many values lie in each bucket, and their sum in ms. `bounds_ms` are the upper bounds of the buckets."""

    bounds_ms: tuple[float, ...]
    counts: tuple[int, ...]
    sum_ms: int

    @property
    def count(self) -> int:
        """Return the number of values."""
        return sum(self.counts)


@dataclass(slots=True)
class ChannelTotals:
    """The counters and histograms of a channel since the first start. A counter that is absent is 0.

    `today` are the `messages` and `flushes` since the start of the day (UTC). Channels beyond the limit of a partition
    are counted together under the gateway and channel ''. `gap_turns` are the turns of the messages that the histogram
    of gaps tells of: both fade together.
    """

    gateway: str
    channel: str
    counters: dict[str, int] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    today: dict[str, int] = field(default_factory=dict)
    gap_turns: int = 0


@dataclass(slots=True, frozen=True)
class Gauges:
    """The present numbers of all partitions.

    `pending` are the conversations in the wake index. `overdue` are those whose time has passed by more than 2 s
    without a claim, and `oldest_overdue_ms` is for how long the oldest of them is overdue (0: none).
    `partition_counters` are the totals that belong to no channel, summed.
    """

    now_ms: int
    pending: int
    overdue: int
    oldest_overdue_ms: int
    dead: int
    doubts: int
    idle: int
    partition_counters: dict[str, int]


@dataclass(slots=True, frozen=True)
class FlushRecord:
    """The record of a flush, a discard or a part that ended. What is unknown is None, '' or 0.

    `due_ms` is when the flush could first be claimed. `window_ms` is the quiet time that its last message began,
    `window_why` why it was that (buffer/windows.py), and `is_held` says that a typing event moved the deadline.
    `arrivals_ms` are the receipts of its first messages, at most 12, in ms since `opened_ms`. `parts` is how many parts
    its answer had, and `next_part` the number of the one that came next. `doubts` is how many of its parts were in
    doubt at the end. `part` is set in the record of one part: `<flush_id>.<part>`. `successor` is the flush_id of the
    flush that replaces a superseded one, which ended when it was taken back.
    """

    ref: str
    conversation: Conversation
    flush_id: str
    reason: str
    outcome: str
    cause: str
    messages: int
    opened_ms: int | None
    last_ms: int | None
    due_ms: int | None
    closed_ms: int | None
    claimed_ms: int | None
    answered_ms: int | None
    ended_ms: int
    attempts: int
    parts: int
    next_part: int
    doubts: int
    arrivals_ms: tuple[int, ...]
    error: str
    part: str = ""
    window_ms: int | None = None
    window_why: str = ""
    is_held: bool = False
    successor: str = ""


@dataclass(slots=True, frozen=True)
class Page(Generic[Item]):
    """A page of a list. `next_cursor` leads to the next one, None: there is none. `total` is None if nobody counted."""

    items: list[Item]
    next_cursor: str | None = None
    total: int | None = None


class HeldMessage(NamedTuple):
    """A message that a conversation holds, for an authorised look."""

    received_ms: int
    kind: str
    text: str | None
    has_media: bool


@dataclass(slots=True, frozen=True)
class ConversationView:
    """Everything that people may know of a conversation. A moment that does not apply is None.

    `burst` and `batch` hold the first messages, `burst_messages` and `batch_messages` are how many there are.
    `closed_ms` is when the burst of the batch ended.
    """

    ref: str
    conversation: Conversation
    name: str
    state: ConversationState
    now_ms: int
    opened_ms: int | None = None
    deadline_ms: int | None = None
    cap_ms: int | None = None
    due_ms: int | None = None
    flush_id: str = ""
    reason: str = ""
    closed_ms: int | None = None
    attempts: int = 0
    next_part: int = 0
    parts: int = 0
    paused_until_ms: int | None = None
    pause_mode: str = ""
    burst_messages: int = 0
    batch_messages: int = 0
    burst: list[HeldMessage] = field(default_factory=list)
    batch: list[HeldMessage] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Erased:
    """How much of a person was removed. `jobs` are those of RQ, `refs` all conversations of theirs."""

    conversations: int = 0
    messages: int = 0
    dead_letters: int = 0
    doubts: int = 0
    records: int = 0
    jobs: int = 0
    refs: tuple[str, ...] = ()
