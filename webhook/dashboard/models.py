"""What the page shows at one moment. Numbers are masked, and there are no names and no texts.

`/snapshot.json` is a Snapshot as JSON. A moment is in ms by the clock of Redis, None if it does not apply.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, frozen=True)
class Who:
    """A masked person, the gateway and the channel."""

    person: str
    gateway: str
    channel: str


@dataclass(slots=True, frozen=True)
class AtAgent:
    """A batch at the agent: when its burst ended and why, and the receipts of its first messages."""

    closed_ms: int
    reason: str
    messages: int
    arrivals_ms: tuple[int, ...]


@dataclass(slots=True, frozen=True)
class Waiting:
    """A conversation that waits. `cap_ms` is the latest moment at which its open burst is due.

    Only the conversations that are drawn have `arrivals_ms`, the receipts of the first messages of the open burst, and
    `at_agent`.
    """

    ref: str
    who: Who
    state: str
    messages: int
    opened_ms: int | None
    due_ms: int
    cap_ms: int | None
    arrivals_ms: tuple[int, ...] = ()
    at_agent: AtAgent | None = None


@dataclass(slots=True, frozen=True)
class Ended:
    """The record of a flush, a discard or a part that ended."""

    ref: str
    who: Who
    flush_id: str
    part: str
    reason: str
    outcome: str
    cause: str
    error: str
    messages: int
    opened_ms: int | None
    last_ms: int | None
    closed_ms: int | None
    claimed_ms: int | None
    answered_ms: int | None
    ended_ms: int
    waited_ms: int | None
    late_ms: int | None
    attempts: int
    parts: int
    parts_sent: int
    doubts: int
    arrivals_ms: tuple[int, ...]
    trace_id: str
    successor: str = ""
    window_ms: int | None = None
    window_why: str = ""
    is_held: bool = False


@dataclass(slots=True, frozen=True)
class Held:
    """A dead letter or a part in doubt."""

    id: str
    who: Who
    since_ms: int
    messages: int
    attempts: int
    is_redriven: bool = False


@dataclass(slots=True, frozen=True)
class Group:
    """Dead letters, or parts in doubt, with one reason, oldest first."""

    reason: str
    first_ms: int
    last_ms: int
    items: list[Held]


@dataclass(slots=True, frozen=True)
class HeldList:
    """The oldest dead letters, or parts in doubt, in groups, the largest first. `total` counts all, `read` these."""

    total: int = 0
    read: int = 0
    groups: list[Group] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Strip:
    """The numbers on top. `workers` is None if it is not known."""

    pending: int
    overdue: int
    oldest_overdue_ms: int
    calls_per_minute: int
    messages_today: int
    calls_today: int
    messages_per_call: float | None
    dead: int
    doubts: int
    workers: int | None


@dataclass(slots=True, frozen=True)
class Badge:
    """Something that is wrong. `name` is a key of the page's words, `value` is what its sentence speaks of."""

    name: str
    level: str
    value: str = ""


@dataclass(slots=True, frozen=True)
class Indicator:
    """One line of the health list. `value` is formatted; None: nothing was counted yet."""

    name: str
    value: str | None
    is_alarm: bool = False


@dataclass(slots=True, frozen=True)
class Choice:
    """What a window would do. `later_s` is how much later an answer comes than now, None without one present window."""

    window_s: float
    split_share: float
    calls_per_burst: float
    later_s: float | None
    is_present: bool
    is_recommended: bool


@dataclass(slots=True, frozen=True)
class Tuning:
    """How long the window should be. `present_s` is None if the channels have several windows.

    `trial` has the split share and the calls of a burst for windows of 1, 2, 3 … seconds.
    """

    gaps: int = 0
    bounds_ms: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    present_s: float | None = None
    recommended_s: int | None = None
    choices: list[Choice] = field(default_factory=list)
    trial: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Snapshot:
    """Everything that the page shows. `duplicates` has the moments of duplicates by the ref of their conversation."""

    now_ms: int
    strip: Strip
    badges: list[Badge]
    pending: list[Waiting]
    ended: list[Ended]
    dead_letters: HeldList
    doubts: HeldList
    duplicates: dict[str, tuple[int, ...]]
    tuning: Tuning
    health: list[Indicator]
