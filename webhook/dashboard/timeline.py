"""The lanes of the timeline: what happened in each conversation lately, the liveliest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple
from typing import NamedTuple

from webhook.dashboard.models import Ended, Snapshot, Waiting, Who

LANES_MAX = 14


class Burst(NamedTuple):
    """One burst as it is drawn. `closed_ms` is None while it is open, `due_ms` is when it is to close.

    `call_ms` is when the agent was called, None if it was not; `answered_ms` is None until it has answered.
    """

    opened_ms: int
    arrivals_ms: tuple[int, ...]
    messages: int
    closed_ms: int | None
    due_ms: int | None = None
    reason: str = ""
    outcome: str = ""
    call_ms: int | None = None
    answered_ms: int | None = None
    ended_ms: int | None = None
    parts_sent: int = 0
    doubts: int = 0


class Lane(NamedTuple):
    """A conversation and its bursts, the oldest first, and the moments of its duplicates."""

    ref: str
    who: Who
    bursts: tuple[Burst, ...]
    duplicates_ms: tuple[int, ...] = ()


def lanes_of(snapshot: Snapshot, span_ms: int) -> list[Lane]:
    """Return the lanes of the last `span_ms`."""
    since_ms = snapshot.now_ms - span_ms
    bursts: dict[str, list[Burst]] = defaultdict(list)
    people: dict[str, Who] = {}
    for record in snapshot.ended:
        if record.ended_ms >= since_ms and not record.part and (burst := _ended_burst(record)):
            bursts[record.ref].append(burst)
            people[record.ref] = record.who
    for found in snapshot.pending:
        if found.ref and (some := list(_waiting_bursts(found, snapshot.now_ms))):
            bursts[found.ref] += some
            people[found.ref] = found.who
    lanes = [
        Lane(ref, people[ref], tuple(sorted(found, key=_opened_ms)), snapshot.duplicates.get(ref, ()))
        for ref, found in bursts.items()
    ]
    lanes.sort(key=_last_ms, reverse=True)
    return lanes[:LANES_MAX]


def _opened_ms(burst: Burst) -> int:
    return burst.opened_ms


def _last_ms(lane: Lane) -> int:
    """Return when something last happened in a lane; a burst that is open still happens."""
    last = lane.bursts[-1]
    return max(last.opened_ms, *last.arrivals_ms, last.ended_ms or 0)


def _ended_burst(record: Ended) -> Burst | None:
    opened_ms = record.opened_ms or record.closed_ms
    if opened_ms is None:
        return None
    return Burst(
        opened_ms=opened_ms,
        arrivals_ms=tuple(opened_ms + offset for offset in record.arrivals_ms),
        messages=record.messages,
        closed_ms=record.claimed_ms or record.closed_ms or record.ended_ms,
        reason=record.reason,
        outcome=record.outcome,
        call_ms=record.claimed_ms,
        answered_ms=record.answered_ms,
        ended_ms=record.ended_ms,
        parts_sent=record.parts_sent,
        doubts=record.doubts,
    )


def _waiting_bursts(found: Waiting, now_ms: int) -> Iterator[Burst]:
    """Yield the batch at the agent, and the open burst of a conversation."""
    if found.at_agent:
        closed_ms, reason, messages, arrivals_ms = astuple(found.at_agent)
        yield Burst(arrivals_ms[0], arrivals_ms, messages, closed_ms, reason=reason, call_ms=closed_ms)
    if found.opened_ms is not None and found.opened_ms <= now_ms:
        due_ms = found.due_ms if found.state == "open" else None
        yield Burst(found.opened_ms, found.arrivals_ms or (found.opened_ms,), found.messages, None, due_ms)
