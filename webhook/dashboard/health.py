"""What is wrong: the badges of the strip, and the indicators with their alarms. No function here does I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from buffer.figures import SPLIT_SHARE_MAX, Figures, quantile_ms
from buffer.held_agent_calls import HeldAgent
from buffer.insight_models import Gauges, Histogram
from buffer.reply_models import HeldChannel
from buffer.transport.server_checks import CheckResult
from gateways.masking import masked_reason
from webhook.dashboard.models import Badge, Ended, Indicator, Snapshot
from webhook.metrics.labels import label_of
from webhook.tallies import APPEND_BOUNDS_MS, APPEND_MS, REQUESTS_REJECTED

OVERDUE_ALARM_MS = 10_000
SKEW_ALARM_MS = 1_000
LATE_ALARM_MS = 3_000
APPEND_ALARM_MS = 1_000
CAP_ALARM = 0.05
REJECTED_ALARM = 0.01
COUNTED_MIN = 20
"""Of fewer calls or requests a share is chance, and no alarm."""

MINUTE_MS = 60_000
ENDED_MIN = 100
"""Records from which on there may be others that were not read."""

HELD_MAX = 3
"""Agents that are held, and channels of held replies, that have a badge of their own."""

REPAIRS = ("sick", "broken")
"""Counters of a partition: damaged keys that the sweep set aside, and keys that no script could read."""


class Server(NamedTuple):
    """What is known of the machines. `workers` is None if RQ's Redis does not answer.

    `skew_ms` is the difference between the clock of this process and that of Redis.
    """

    checks: Sequence[CheckResult] = ()
    workers: int | None = None
    skew_ms: int = 0
    has_token: bool = True


def badges_of(gauges: Gauges, held: Sequence[HeldChannel], agents: Sequence[HeldAgent], server: Server) -> list[Badge]:
    """Return a badge for each thing that is wrong, the worst first. Nothing is wrong: there is none."""
    repairs = sum(gauges.partition_counters.get(name, 0) for name in REPAIRS)
    found = [
        Badge("no_worker", "bad") if server.workers == 0 else None,
        Badge("overdue", "bad", _seconds(gauges.oldest_overdue_ms)) if _is_overdue(gauges) else None,
        *[Badge("server", _level(check), check.message) for check in server.checks if check.level != "ok"],
        *[Badge("agent_held", "bad", _agent_text(one)) for one in agents[:HELD_MAX]],
        *[Badge("held", "bad", _held_text(one)) for one in held[:HELD_MAX]],
        Badge("skew", "bad", _seconds(server.skew_ms)) if server.skew_ms > SKEW_ALARM_MS else None,
        Badge("no_queue", "warn") if server.workers is None else None,
        Badge("repaired", "warn", str(repairs)) if repairs else None,
        None if server.has_token else Badge("no_token", "warn"),
    ]
    return [badge for badge in found if badge]


def is_well(snapshot: Snapshot) -> bool:
    """Return True if nothing is wrong: no badge, no alarm, nothing overdue, dead or in doubt."""
    strip = snapshot.strip
    found = (snapshot.badges, strip.overdue, strip.dead, strip.doubts, any(one.is_alarm for one in snapshot.health))
    return not any(found)


def _is_overdue(gauges: Gauges) -> bool:
    return gauges.oldest_overdue_ms > OVERDUE_ALARM_MS


def _level(check: CheckResult) -> str:
    return "bad" if check.level == "problem" else "warn"


def _agent_text(agent: HeldAgent) -> str:
    """Return the host alone: the path of an agent's address may be its secret."""
    return f"{urlsplit(agent.address).netloc}: {masked_reason(agent.reason, ())} ({agent.waiting})"


def _held_text(channel: HeldChannel) -> str:
    return f"{channel.gateway}/{label_of(channel.channel)}: {masked_reason(channel.reason, ())}"


def calls_per_minute(ended: Sequence[Ended], now_ms: int) -> int:
    """Return the calls of the last minute, by the records of the flushes that ended, which come newest first.

    If all of the records are younger, so are others that were not read: the rate is that of the records.
    """
    moments = [record.claimed_ms for record in ended if record.claimed_ms is not None and not record.part]
    recent = sum(now_ms - moment < MINUTE_MS for moment in moments)
    if not moments or recent < len(moments) or len(ended) < ENDED_MIN:
        return recent
    return round(recent * MINUTE_MS / max(1, now_ms - min(moments)))


def indicators(figures: Figures, gauges: Gauges) -> list[Indicator]:
    """Return the health list. An indicator without a value has nothing counted yet."""
    counters, calls = figures.counters, figures.calls
    append = append_histogram(gauges.partition_counters)
    return [
        _latency("late_p95", figures.quantile_ms("lateness_ms", 0.95), LATE_ALARM_MS),
        _latency("agent_p95", figures.quantile_ms("agent_ms", 0.95), None),
        _latency("reply_p95", figures.quantile_ms("reply_ms", 0.95), None),
        _latency("append_p95", quantile_ms(append, 0.95) if append.count else None, APPEND_ALARM_MS),
        _share("split", counters["turns_split"], figures.turns, SPLIT_SHARE_MAX),
        _share("cap_hits", counters["flushes_max_wait"], calls, CAP_ALARM),
        _share("single", counters["flushes_single"], calls, None),
        _share("duplicates", counters["messages_duplicate"], _received(figures), None),
        _rejected(figures, gauges.partition_counters),
        _count("recovered", counters["leases_recovered"]),
        _count("answers_again", counters["answers_again"]),
    ]


def append_histogram(counters: Mapping[str, int]) -> Histogram:
    """Return how long appends took, by the counters that belong to no channel."""
    counts = tuple(counters.get(f"{APPEND_MS}:{at}", 0) for at in range(len(APPEND_BOUNDS_MS)))
    return Histogram(tuple(APPEND_BOUNDS_MS), counts, counters.get(f"{APPEND_MS}:sum", 0))


def _received(figures: Figures) -> int:
    return figures.counters["messages_accepted"] + figures.counters["messages_duplicate"]


def _rejected(figures: Figures, counters: Mapping[str, int]) -> Indicator:
    rejected = _sum_of(counters, f"{REQUESTS_REJECTED}:")
    return _share("rejected", rejected, rejected + _received(figures), REJECTED_ALARM)


def _sum_of(counters: Mapping[str, int], prefix: str) -> int:
    found: Iterable[int] = (number for name, number in counters.items() if name.startswith(prefix))
    return sum(found)


def _latency(name: str, value_ms: float | None, alarm_ms: int | None) -> Indicator:
    if value_ms is None:
        return Indicator(name, None)
    return Indicator(name, _seconds(value_ms), alarm_ms is not None and value_ms > alarm_ms)


def _share(name: str, part: int, whole: int, alarm: float | None) -> Indicator:
    if not whole:
        return Indicator(name, None)
    share = min(1.0, part / whole)
    return Indicator(name, f"{share * 100:.1f} %", alarm is not None and whole >= COUNTED_MIN and share > alarm)


def _count(name: str, number: int) -> Indicator:
    return Indicator(name, str(number), number > 0)


def _seconds(value_ms: float) -> str:
    return f"{value_ms:.0f} ms" if value_ms < 1000 else f"{value_ms / 1000:.1f} s"
