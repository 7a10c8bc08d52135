"""The judge of flushes that were taken back (MESSAGE_WHILE_ANSWERING=restart), by what the agent and people got."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tests.gateway_stubs.base import JournalEntry
from tests.integration.agent import Call


def chain_of(call: Call) -> list[str]:
    """The flushes that a call says it supersedes, oldest first."""
    return list(call.content.get("supersedes", []))


def taken_back(calls: Iterable[Call]) -> set[str]:
    """The flushes that a later one supersedes."""
    return {key for call in calls for key in chain_of(call)}


def judge_chains(ordered: Sequence[Call], restarts_max: int) -> Iterator[str]:
    """What is wrong with the flushes that others supersede. `ordered` are all calls by their arrival."""
    firsts: dict[str, Call] = {}
    last_ms: dict[str, float] = {}
    for call in ordered:
        firsts.setdefault(call.key, call)
        last_ms[call.key] = call.arrived_ms
    for call in firsts.values():
        chain = chain_of(call)
        if not chain and "supersedes" in call.content:
            yield f"{call.key} supersedes nothing and says so"
        if len(chain) > restarts_max:
            yield f"{call.key} was taken back {len(chain)} times"
        if len({*chain, call.key}) <= len(chain):
            yield f"{call.key} supersedes a flush twice, or itself"
        for place, key in enumerate(chain):
            if before := firsts.get(key):  # or its worker died before the call
                yield from _judge_pair(before, call, chain[:place], last_ms[key])
    yield from _judge_successors(firsts)


def _judge_pair(before: Call, call: Call, older: list[str], last_ms: float) -> Iterator[str]:
    if before.peer != call.peer:
        yield f"{call.key} supersedes {before.key} of another person"
    if last_ms > call.arrived_ms:
        yield f"{before.key} was called after {call.key}, which supersedes it"
    if not set(before.ids) <= set(call.ids):
        yield f"{call.key} lacks messages of {before.key}, which it supersedes"
    if chain_of(before) != older:
        yield f"{call.key} does not tell of all that {before.key} supersedes"


def _judge_successors(firsts: Mapping[str, Call]) -> Iterator[str]:
    successors: dict[str, list[str]] = defaultdict(list)
    for call in firsts.values():
        for key in chain_of(call)[-1:]:
            successors[key].append(call.key)
    yield from (f"{key} has two successors" for key, found in successors.items() if len(found) > 1)


def judge_flush_replies(
    calls: Sequence[Call], journal: Iterable[JournalEntry], parts: int, listed: Mapping[str, Collection[int]]
) -> list[str]:
    """Return what is wrong with what people got, where each part is a text `<flush_id> <number>`.

    `listed` are the numbers of the parts of a flush that are in doubt, or in a dead letter.
    """
    gone, keys = taken_back(calls), {call.key: call.peer for call in calls}
    heard: dict[str, list[int]] = defaultdict(list)
    problems = []
    for entry in journal:
        key, _, number = entry.text.rpartition(" ")
        heard[key].append(int(number))
        if keys.get(key) != entry.conversation:
            problems.append(f"{entry.conversation} got {entry.text!r} of somebody else")
    problems += [f"{keys[key]} got a part of {key}, which was taken back" for key in heard.keys() & gone]
    for key in keys.keys() - gone:
        numbers = heard[key]
        if any(after <= before for before, after in itertools.pairwise(numbers)):
            problems.append(f"the parts of {key} came in the order {numbers}")
        lost = set(range(1, parts + 1)) - {*numbers, *listed.get(key, ())}
        problems += [f"part {number} of {key} was neither sent nor listed" for number in sorted(lost)]
    return problems
