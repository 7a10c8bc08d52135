"""Snapshots of the page, made up for tests."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from buffer.figures import Figures
from buffer.insight_models import BOUNDS_MS, Histogram
from buffer.present_policy import PresentPolicy
from webhook.dashboard.models import Badge, Ended, Group, Held, HeldList, Indicator, Snapshot, Strip, Waiting, Who
from webhook.dashboard.tuning import tuning_of

NOW_MS = 1_795_900_000_000
ANA = Who("+55 11 •••• 0001", "evolution", "loja")
REF = f"0-{'a' * 16}"
FIXED = PresentPolicy("fixed", 8_000, 8_000)
STRIP = Strip(1, 0, 0, 4, 10, 4, 2.5, 0, 0, 1)

ENDED = Ended(
    ref=REF,
    who=ANA,
    flush_id=f"{REF}-1-abcdef",
    part="",
    reason="quiet",
    outcome="acked",
    cause="",
    error="",
    messages=3,
    opened_ms=NOW_MS - 20_000,
    last_ms=NOW_MS - 18_000,
    closed_ms=NOW_MS - 10_000,
    claimed_ms=NOW_MS - 10_000,
    answered_ms=NOW_MS - 7_000,
    ended_ms=NOW_MS - 6_000,
    waited_ms=10_000,
    late_ms=3,
    attempts=1,
    parts=2,
    parts_sent=2,
    doubts=0,
    arrivals_ms=(0, 700, 2_000),
    trace_id="0" * 32,
)
WAITING = Waiting(
    REF, ANA, "open", 2, NOW_MS - 3_000, NOW_MS + 6_000, NOW_MS + 57_000, (NOW_MS - 3_000, NOW_MS - 2_000)
)


def ended(**changed: Any) -> Ended:
    """A record of a flush."""
    return replace(ENDED, **changed)


def waiting(**changed: Any) -> Waiting:
    """A conversation that waits."""
    return replace(WAITING, **changed)


def figures(*gaps: int, turns: int = 400, **counters: int) -> Figures:
    """The figures of a channel with so many gaps in the first buckets: 400 turns of two messages, one in five split."""
    counts = (*gaps, *[0] * (len(BOUNDS_MS["gap"]) - len(gaps)))
    waits = histogram_of("wait_ms", {8_000: 100, 10_000: 400}, 4_200_000)
    replies = histogram_of("reply_ms", {10_000: 80, 30_000: 20}, 1_200_000)
    found = Figures(histograms={"gap": Histogram(BOUNDS_MS["gap"], counts, 0), "wait_ms": waits, "reply_ms": replies})
    found.counters.update(flushes_quiet=500, flush_messages=1000, bursts_split=100, turns=turns, turns_split=turns // 5)
    found.counters.update(counters)
    found.gap_turns = turns
    return found


def histogram_of(name: str, counts: dict[int, int], sum_ms: int) -> Histogram:
    """A histogram with so many values in the buckets of these upper bounds."""
    return Histogram(
        BOUNDS_MS[name], tuple(counts.get(int(one), 0) if one < math.inf else 0 for one in BOUNDS_MS[name]), sum_ms
    )


def snapshot(**changed: Any) -> Snapshot:
    """A snapshot with one of each."""
    held = Held(f"{REF}-1-abcdef", ANA, NOW_MS - 60_000, 3, 8)
    made = Snapshot(
        now_ms=NOW_MS,
        strip=STRIP,
        badges=[Badge("no_worker", "bad")],
        pending=[WAITING],
        ended=[ENDED],
        dead_letters=HeldList(1, 1, [Group("the agent answered 422", held.since_ms, held.since_ms, [held])]),
        doubts=HeldList(),
        duplicates={},
        tuning=tuning_of(figures(*[10] * 24), FIXED),
        health=[Indicator("late_p95", "12 ms"), Indicator("split", "20.0 %", True)],
    )
    return replace(made, **changed)
