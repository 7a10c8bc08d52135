"""The judge: compares what the webhook acknowledged with what the agent received, each looked at once."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.integration.agent import Call
from tests.integration.restart_checker import judge_chains, taken_back
from tests.integration.sender import Sent


@dataclass(slots=True, frozen=True)
class Rules:
    """The window and longest wait in milliseconds; whether a call may come again (crashes, failed calls).

    `restarts_max` is how often the batches of a burst may be taken back.
    """

    window_ms: int = 1000
    max_wait_ms: int = 20_000
    repeats: bool = False
    restarts_max: int = 0


@dataclass(slots=True)
class Verdict:
    """What is wrong, how late (ms) each flush was when it first reached the agent, and where bursts could end.

    `flushes` are those that were answered, `superseded` those that were called and taken back. `pauses` counts messages
    that Redis received a window or more after the person's one before. `longest_ms` is the longest time from a person's
    first message to the call that was answered.
    """

    problems: list[str] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    flushes: int = 0
    superseded: int = 0
    pauses: int = 0
    longest_ms: float = 0.0

    def one_for_each(self, people: int) -> bool:
        """One flush for each person; more only where the machine stood still while the person was writing."""
        return people <= self.flushes <= people + self.pauses

    def percentile(self, share: float) -> float:
        """A percentile of the lateness in milliseconds: 0.5 is the median, 1 the worst."""
        ordered = sorted(self.late_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def judge(sent: Sequence[Sent], calls: Iterable[Call], rules: Rules) -> Verdict:
    """Check everything that docs/invariants.md promises about calls; the verdict lists each breach."""
    verdict = Verdict()
    ordered = sorted(calls, key=lambda call: call.arrived_ms)
    called = _firsts(ordered, rules, verdict)
    verdict.problems += judge_chains(ordered, rules.restarts_max)
    gone = taken_back(called)
    firsts = [call for call in called if call.key not in gone]
    verdict.flushes, verdict.superseded = len(firsts), len(called) - len(firsts)
    _check_fate(sent, firsts, verdict)
    _check_one_at_a_time(ordered, verdict)
    _check_time(firsts, ordered, rules, verdict)
    verdict.pauses = _count_pauses(firsts, rules.window_ms)
    return verdict


def _firsts(ordered: Sequence[Call], rules: Rules, verdict: Verdict) -> list[Call]:
    """The first call of each key; the others must be the same again, with higher attempt numbers."""
    first: dict[str, Call] = {}
    last: dict[str, Call] = {}
    for call in ordered:
        key = call.key
        if call.content["flush_id"] != key:
            verdict.problems.append(f"key {key} carries flush_id {call.content['flush_id']}")
        if key in first:
            if not rules.repeats:
                verdict.problems.append(f"{key} was called again without a reason")
            if call.body != first[key].body:
                verdict.problems.append(f"{key} was called with two different bodies")
            if call.attempt <= last[key].attempt:
                verdict.problems.append(f"{key}: attempt {call.attempt} came after {last[key].attempt}")
        first.setdefault(key, call)
        last[key] = call
    return list(first.values())


def _check_fate(sent: Sequence[Sent], firsts: Sequence[Call], verdict: Verdict) -> None:
    """Every acknowledged message in exactly one flush, in the order it was said, with its own person."""
    got: dict[str, list[str]] = defaultdict(list)
    for call in firsts:
        got[call.peer] += call.ids
    known: dict[str, list[Sent]] = defaultdict(list)
    for item in sent:
        known[item.peer].append(item)
    for peer in known.keys() | got.keys():
        _check_person(peer, known[peer], got[peer], verdict)


def _check_person(peer: str, said: Sequence[Sent], got: Sequence[str], verdict: Verdict) -> None:
    places = {item.message_id: place for place, item in enumerate(said)}
    seen: set[str] = set()
    last = -1
    for message_id in got:
        if message_id not in places:
            verdict.problems.append(f"{peer} never said {message_id}")
            continue
        if message_id in seen:
            verdict.problems.append(f"{message_id} is in two flushes")
            continue
        if places[message_id] < last:
            verdict.problems.append(f"{message_id} of {peer} is out of order")
        seen.add(message_id)
        last = places[message_id]
    lost = [item.message_id for item in said if item.acked_ms is not None and item.message_id not in seen]
    verdict.problems += [f"{message_id} of {peer} was acknowledged and never delivered" for message_id in lost]


def _check_one_at_a_time(ordered: Sequence[Call], verdict: Verdict) -> None:
    before: dict[str, Call] = {}
    for call in ordered:
        other = before.get(call.peer)
        if other is not None and (other.ended_ms is None or other.ended_ms > call.arrived_ms):
            verdict.problems.append(f"{call.peer} had two calls at once: {other.key} and {call.key}")
        before[call.peer] = call


def _check_time(firsts: Sequence[Call], ordered: Sequence[Call], rules: Rules, verdict: Verdict) -> None:
    """None early by its own messages; lateness counts from when the conversation's last call was over."""
    free_ms = _free_since(firsts, ordered)
    before: dict[str, float] = {}
    for call in firsts:
        received = [message["received_ms"] for message in call.content["messages"]]
        verdict.longest_ms = max(verdict.longest_ms, call.arrived_ms - min(received))
        if call.content["closed_ms"] > max(call.content["opened_ms"] + rules.max_wait_ms, *received):
            verdict.problems.append(f"{call.key} waited for longer than the longest wait")
        if min(received) < before.get(call.peer, 0):
            verdict.problems.append(f"{call.key} has a message that came before the deadline of the flush before it")
        if call.content["reason"] not in ("quiet", "max_wait"):
            continue
        deadline_ms = min(max(received) + rules.window_ms, call.content["opened_ms"] + rules.max_wait_ms)
        before[call.peer] = deadline_ms
        if min(call.arrived_ms, call.content["closed_ms"]) < deadline_ms:
            verdict.problems.append(f"{call.key} came {deadline_ms - call.arrived_ms:.0f} ms before its deadline")
        verdict.late_ms.append(call.arrived_ms - max(deadline_ms, free_ms.get(call.key, 0.0)))


def _free_since(firsts: Sequence[Call], ordered: Sequence[Call]) -> dict[str, float]:
    """For each flush, when the call before it in its conversation was over."""
    wanted = {id(call) for call in firsts}
    over: dict[str, float] = {}
    free: dict[str, float] = {}
    for call in ordered:
        if id(call) in wanted:
            free[call.key] = over.get(call.peer, 0.0)
        over[call.peer] = max(over.get(call.peer, 0.0), call.ended_ms or call.arrived_ms)
    return free


def _count_pauses(firsts: Sequence[Call], window_ms: int) -> int:
    received: dict[str, list[int]] = defaultdict(list)
    for call in firsts:
        received[call.peer] += [message["received_ms"] for message in call.content["messages"]]
    gaps = [after - before for times in received.values() for before, after in itertools.pairwise(sorted(times))]
    return sum(gap >= window_ms for gap in gaps)
