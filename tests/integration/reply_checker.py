"""The judge of replies: compares what the agent answered with what each person got, and with what is listed."""

from __future__ import annotations

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from tests.gateway_stubs.base import JournalEntry
from tests.integration.agent import Call


def judge_replies(
    answers: Mapping[str, Sequence[str]],
    journal: Iterable[JournalEntry],
    listed: Mapping[str, Collection[int]],
) -> list[str]:
    """Return what is wrong, one sentence each.

    `answers` are the parts for each person. `listed` are the numbers of the parts of a person that are in doubt, or in
    a dead letter.
    """
    heard: dict[str, list[str]] = {}
    for entry in journal:
        heard.setdefault(entry.conversation, []).append(entry.text)
    problems = [f"{person} was written to and never asked" for person in heard.keys() - answers.keys()]
    for person, parts in answers.items():
        problems += _judge_person(person, parts, heard.get(person, []), listed.get(person, ()))
    return problems


def _judge_person(person: str, parts: Sequence[str], heard: Sequence[str], listed: Collection[int]) -> list[str]:
    problems = [f"{person} got {text!r} twice" for text in sorted(set(heard)) if heard.count(text) > 1]
    numbers = [parts.index(text) + 1 if text in parts else 0 for text in heard]
    if 0 in numbers:
        problems.append(f"{person} got a part that is none: {heard}")
    if any(after < before for before, after in itertools.pairwise(numbers)):
        problems.append(f"{person} got the parts in the order {numbers}")
    lost = [number for number in range(1, len(parts) + 1) if number not in numbers and number not in listed]
    return problems + [f"part {number} of {person} was neither sent nor listed" for number in lost]


def judge_calls(calls: Iterable[Call], journal: Iterable[JournalEntry]) -> list[str]:
    """Return what is wrong: a person with two flushes or two bodies, or a call that came when a part was out."""
    wall_s = time.time() - time.monotonic()
    out_ms: dict[str, float] = {}
    for entry in journal:
        out_ms.setdefault(entry.conversation, (entry.at_s + wall_s) * 1000)
    problems, bodies = [], defaultdict(set)
    for call in calls:
        bodies[call.peer].add((call.key, call.body))
        if call.arrived_ms > out_ms.get(call.peer, math.inf):
            problems.append(f"the agent was called for {call.peer}, who had a part already")
    return problems + [f"{peer} had several flushes or bodies" for peer, found in bodies.items() if len(found) > 1]
