"""What a policy did to the conversations: the two figures, split turns and wait, and what they cost, with intervals."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from operator import mul
from random import Random
from typing import NamedTuple

from benchmarks.figures import percentile
from benchmarks.wait.conversations import SEED, Conversation
from benchmarks.wait.policies import Policy
from benchmarks.wait.replay import replay
from benchmarks.wait.training import learnt_gaps

SAMPLES = 200
"""Bootstrap samples of the conversations. 95 of 100 lie in the interval that is shown."""


class Sums(NamedTuple):
    """What one conversation adds to the figures."""

    turns: int
    split: int
    premature: int
    calls: int
    wait_ms: int
    latency_ms: int


class Score(NamedTuple):
    """What a policy did: sums of each conversation, in order, and the wait that 90 of 100 turns do not exceed."""

    policy: Policy
    sums: tuple[Sums, ...]
    p90_ms: float


class Figures(NamedTuple):
    """The figures of a policy. Shares and numbers are per turn, times in seconds."""

    split: float
    premature: float
    calls: float
    wait_s: float
    latency_s: float


def score(policy: Policy, training: Sequence[Conversation], replayed: Sequence[Conversation]) -> Score:
    """Learn from the training part and replay the other."""
    gaps = learnt_gaps(training, policy)
    waits_ms, sums = list[int](), list[Sums]()
    for conversation in replayed:
        results = list(replay(conversation, policy, gaps))
        waits_ms += [one.wait_ms for one in results]
        split, numbers = sum(one.premature > 0 for one in results), map(sum, zip(*results, strict=True))
        premature, calls, wait_ms, latency_ms = numbers
        sums.append(Sums(len(results), split, premature, calls, wait_ms, latency_ms))
    return Score(policy, tuple(sums), percentile(waits_ms, 0.9))


def score_all(
    policies: Sequence[Policy], training: Sequence[Conversation], replayed: Sequence[Conversation]
) -> list[Score]:
    """Score policies, on all cores."""
    with ProcessPoolExecutor(os.cpu_count(), initializer=_keep, initargs=(training, replayed)) as pool:
        return list(pool.map(_score_kept, policies))


_kept: tuple[Sequence[Conversation], Sequence[Conversation]] = ((), ())


def _keep(training: Sequence[Conversation], replayed: Sequence[Conversation]) -> None:
    global _kept  # a process of the pool gets the conversations once, not with each policy
    _kept = training, replayed


def _score_kept(policy: Policy) -> Score:
    return score(policy, *_kept)


def figures(score: Score, weights: Sequence[int] | None = None) -> Figures:
    """Return the figures of a policy, each conversation counted as often as its weight says (None: once)."""
    columns = zip(*score.sums, strict=True)
    turns, *totals = (sum(column) if weights is None else sum(map(mul, column, weights)) for column in columns)
    split, premature, calls, wait_ms, latency_ms = (total / turns for total in totals)
    return Figures(split, premature, calls, wait_ms / 1000, latency_ms / 1000)


def samples(conversations: int) -> Iterator[list[int]]:
    """Yield weights for SAMPLES samples of that many conversations, the same ones for every policy."""
    random = Random(SEED)
    for _ in range(SAMPLES):
        drawn = Counter(random.choices(range(conversations), k=conversations))
        yield [drawn[at] for at in range(conversations)]


class Interval(NamedTuple):
    """Between which values the figure of 95 of 100 samples lies."""

    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    """Return the interval of a figure, given its value in each sample."""
    ranked = sorted(values)
    skipped = math.floor(len(ranked) * 0.025)
    return Interval(ranked[skipped], ranked[-1 - skipped])
