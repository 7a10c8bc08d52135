"""The windows that channels find for themselves (`MESSAGE_BUFFER_TIMEOUT=auto`), and the gaps they are made of."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, get_args

from buffer.censored_gaps import unbiased
from buffer.insight_models import BOUNDS_MS, GAP_BUCKETS
from buffer.insight_replies import read_channel
from buffer.keys import partition_of
from buffer.reads import read_all
from buffer.script_calls import Args
from buffer.store import Store
from buffer.window_policy import AutoPolicy, AutoWhy, Gaps, Window
from config.routes import Routes
from config.setting_types import milliseconds
from config.settings import Settings

Channel = tuple[str, str]
"""Gateway and name of a channel."""

FIELDS = ("gap:turns", *(f"{kind}:{bucket}" for kind in ("gap", "gap:read") for bucket in range(GAP_BUCKETS)))
"""What is read of a channel's tally (docs/counters.md)."""

AGENT_BOUNDS_MS = BOUNDS_MS["agent_ms"]
AGENT_FIELDS = tuple(f"agent_ms:{bucket}" for bucket in range(len(AGENT_BOUNDS_MS)))

BEYOND_TURNS = 2
"""The last buckets of the gaps, which hold only gaps that are longer than a turn allows: each began a turn."""

READ_AT_ONCE = 100
"""Tallies or partitions of one read."""

WHYS: dict[str, AutoWhy] = {why: why for why in get_args(AutoWhy)}
DIGITS_MAX = 12


def policy_of(settings: Settings) -> AutoPolicy:
    """Return what an `auto` route asks of its windows."""
    return AutoPolicy(
        milliseconds(settings.auto_min), milliseconds(settings.auto_max), settings.auto_split_target, settings.window_ms
    )


class AutoWindows:
    """Reads gaps, and reads and writes windows. Each may raise StoreUnavailable, StoreFull or StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._count = store.settings.redis_partitions

    async def gaps(self, channels: Sequence[Channel]) -> dict[Channel, Gaps | None]:
        """Return what the tallies of channels have, None for what cannot be read. Counts not yet folded are missing."""
        return dict(zip(channels, map(gaps_in, await self._fields(channels, FIELDS)), strict=True))

    async def agent_ms(self, channels: Sequence[Channel]) -> dict[Channel, int]:
        """Return how long the agents of channels usually take in ms, 0 for what is unknown or cannot be read."""
        return dict(zip(channels, map(usual_ms, await self._fields(channels, AGENT_FIELDS)), strict=True))

    async def write(self, windows: Mapping[Channel, Window]) -> None:
        """Note the windows of channels as those in force."""
        by_partition: dict[int, dict[Channel, Window]] = defaultdict(dict)
        for channel, window in windows.items():
            by_partition[partition_of(*channel, self._count)][channel] = window
        for partition, some in by_partition.items():
            read_set_windows(await self._store.run("set_windows", partition, set_windows_args(some)))

    async def read(self) -> dict[Channel, Window]:
        """Return the windows in force. A key or a field that no script has written counts as missing."""
        keys = (self._store.keys.of(one, "windows") for one in range(self._count))
        replies = await read_all(self._store, (("hgetall", key) for key in keys), READ_AT_ONCE)
        noted = [(member, window_in(value)) for reply in replies for member, value in (reply or {}).items()]
        return {read_channel(member): window for member, window in noted if window is not None}

    async def _fields(self, channels: Sequence[Channel], fields: Sequence[str]) -> list[Any]:
        """Return these fields of the tally of each channel, None for a key of another type."""
        commands = (("hmget", self._tally_key(channel), fields) for channel in channels)
        return await read_all(self._store, commands, READ_AT_ONCE)

    def _tally_key(self, channel: Channel) -> str:
        return self._store.keys.of(partition_of(*channel, self._count), "tally", ":".join(channel))


class Present(NamedTuple):
    """The window of a channel now, in the form of a record."""

    window_ms: int
    window_why: str
    is_held: bool = False


async def present_windows(store: Store, routes: Routes, channels: Iterable[Channel]) -> dict[Channel, Present]:
    """Return the window of each channel: that of its route, or the one that it has found. Raises StoreError."""
    has_auto = any(route.settings.is_auto for route in routes.all())
    known = await AutoWindows(store).read() if has_auto else {}
    return {one: _present(routes.of(*one).settings, known.get(one)) for one in channels}


def _present(settings: Settings, known: Window | None) -> Present:
    if not settings.is_auto:
        return Present(settings.window_ms, "fixed")
    return Present(*(bounded(known, policy_of(settings)) if known else (settings.window_ms, "auto_start")))


def bounded(window: Window, policy: AutoPolicy) -> Window:
    """Return a window within the bounds of its route, which may have changed since it was found."""
    return window._replace(window_ms=min(policy.max_ms, max(policy.min_ms, window.window_ms)))


def set_windows_args(windows: Mapping[Channel, Window]) -> Args:
    """Return the arguments of set_windows.lua."""
    return [word for channel, (ms, why) in windows.items() for word in (":".join(channel), f"{ms} {why}")]


def read_set_windows(reply: int) -> int:
    """Return how many windows were noted."""
    return int(reply)


def gaps_in(values: Sequence[bytes | None] | None) -> Gaps | None:
    """Return the gaps that the FIELDS of a tally tell of. None for values that no script has written.

    So is a tally with more gaps between turns and read answers than turns: it is of a version that counted no turns.
    """
    try:
        turns, *counts = [int(value or 0) for value in values or ()]
    except ValueError:
        return None
    gaps, reads = counts[:GAP_BUCKETS], counts[GAP_BUCKETS:]
    known_ends = sum(gaps[-BEYOND_TURNS:]) + sum(reads)
    if min(turns, *counts) < 0 or known_ends > turns + BEYOND_TURNS:
        return None
    return unbiased(gaps, reads, turns)


def usual_ms(values: Sequence[bytes | None] | None) -> int:
    """Return what half of the calls took at least, of the AGENT_FIELDS of a tally: the lower bound of their bucket."""
    try:
        counts = [int(value or 0) for value in values or ()]
    except ValueError:
        return 0
    if sum(counts) <= 0 or min(counts) < 0:
        return 0
    bucket = bisect_left(list(accumulate(counts)), sum(counts) / 2)
    return int(AGENT_BOUNDS_MS[bucket - 1]) if bucket else 0


def window_in(value: bytes) -> Window | None:
    """Return a window of the key `windows`, None for a value that no script has written."""
    window_ms, _, why = value.decode("utf-8", "replace").partition(" ")
    if why not in WHYS or not window_ms.isascii() or not window_ms.isdigit() or len(window_ms) > DIGITS_MAX:
        return None
    return Window(int(window_ms), WHYS[why])
