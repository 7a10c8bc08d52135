"""What the counters of the channels say: calls saved, turns split, how long people wait."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from buffer.insight_models import ChannelTotals, Histogram
from buffer.insight_replies import is_flush_reason

SPLIT_SHARE_MAX = 0.3
"""The share of split turns above which the window is too short. A fixed window of 8 s splits a quarter on WhatsApp."""


@dataclass(slots=True)
class Figures:
    """The counters of one channel, or of several together. `gap_turns` are the turns of the histogram of gaps."""

    counters: Counter[str] = field(default_factory=Counter)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    today: Counter[str] = field(default_factory=Counter)
    gap_turns: int = 0

    @property
    def calls(self) -> int:
        """Return the number of flushes: each is one call to the agent, and the same one again if it fails."""
        return sum(number for name, number in self.counters.items() if is_flush_reason(name))

    @property
    def messages_per_call(self) -> float | None:
        """Return the messages of a flush on average, None without flushes."""
        return self.counters["flush_messages"] / self.calls if self.calls else None

    @property
    def calls_saved(self) -> int:
        """Return how many calls there would be more if every message were a call."""
        return max(0, self.counters["flush_messages"] - self.calls)

    @property
    def split_share(self) -> float | None:
        """Return the share of the turns whose agent was called before their last message, None without turns."""
        return min(1.0, self.counters["turns_split"] / self.turns) if self.turns else None

    @property
    def premature_per_turn(self) -> float | None:
        """Return the calls of a turn before its last message on average, None without turns."""
        return self.counters["bursts_split"] / self.turns if self.turns else None

    @property
    def calls_per_turn(self) -> float | None:
        """Return the calls of a turn on average, those that were taken back too. None without turns.

        The calls are those whose wait was counted: they have been counted for as long as the turns have. Messages that
        are flushed each on its own belong to no turn.
        """
        waits = self.histograms.get("wait_ms")
        if waits is None or not self.turns:
            return None
        return max(0, waits.count - self.counters["flushes_disabled"] + self.restarts) / self.turns

    @property
    def turns(self) -> int:
        """Return the number of turns."""
        return self.counters["turns"]

    @property
    def restarts(self) -> int:
        """Return how many flushes were taken back because the person went on."""
        return self.counters["flushes_superseded"]

    def mean_ms(self, name: str) -> float | None:
        """Return the mean of the values of a histogram, None without values."""
        found = self.histograms.get(name)
        return found.sum_ms / found.count if found is not None and found.count else None

    def at_most_ms(self, name: str, share: float) -> float | None:
        """Return a bound that this share of the values of a histogram do not exceed, None without values.

        It is a bound of a bucket, and infinite for the last one: a window lies right below its bucket's bound or above
        it, and a value between the bounds would be made up.
        """
        found = self.histograms.get(name)
        if found is None or not found.count:
            return None
        up_to = accumulate(found.counts)
        return next(bound for bound, below in zip(found.bounds_ms, up_to, strict=True) if below >= share * found.count)

    def quantile_ms(self, name: str, share: float) -> float | None:
        """Return the time below which a share of the values of a histogram lie, None without values."""
        found = self.histograms.get(name)
        return quantile_ms(found, share) if found is not None and found.count else None


def figures_of(totals: Iterable[ChannelTotals]) -> Figures:
    """Return the figures of channels together."""
    figures = Figures()
    for one in totals:
        figures.counters.update(one.counters)
        figures.today.update(one.today)
        figures.gap_turns += one.gap_turns
        for name, histogram in one.histograms.items():
            figures.histograms[name] = _sum(figures.histograms.get(name), histogram)
    return figures


def _sum(first: Histogram | None, second: Histogram) -> Histogram:
    if first is None:
        return second
    counts = tuple(map(sum, zip(first.counts, second.counts, strict=True)))
    return Histogram(second.bounds_ms, counts, first.sum_ms + second.sum_ms)


def quantile_ms(histogram: Histogram, share: float) -> float:
    """Return a quantile as Prometheus computes it: even within a bucket, and the last bound for what lies above all."""
    wanted, below, lower_ms = share * histogram.count, 0, 0.0
    for bound_ms, count in zip(histogram.bounds_ms, histogram.counts, strict=True):
        if count and below + count >= wanted:
            return lower_ms if math.isinf(bound_ms) else lower_ms + (bound_ms - lower_ms) * (wanted - below) / count
        below, lower_ms = below + count, bound_ms
    return lower_ms


def share_of_bucket_above(lower_ms: float, upper_ms: float, limit_ms: float) -> float:
    """Return the share of the values of a bucket that lies above a limit, if their logarithms are spread evenly."""
    if limit_ms <= lower_ms:
        return 1.0
    if limit_ms >= upper_ms:
        return 0.0
    return 1.0 if math.isinf(upper_ms) else math.log(upper_ms / limit_ms) / math.log(upper_ms / lower_ms)


def bars(counts: Sequence[int], width: int) -> list[int]:
    """Return the length of a bar for each count: the largest has `width`, and none that counts anything has 0."""
    most = max(counts, default=0)
    return [0 if not count else max(1, round(count * width / most)) for count in counts]
