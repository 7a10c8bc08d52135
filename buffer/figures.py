"""What the counters of the channels say: calls saved, bursts split, quantiles, and what another window would do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from buffer.insight_models import BOUNDS_MS, ChannelTotals, Histogram
from buffer.insight_replies import is_flush_reason

WINDOWS_S = (3.0, 5.0, 8.0, 13.0, 20.0, 30.0)
"""Windows of the table, in seconds."""

SPLIT_SHARE_GOOD = 0.05
"""The share of split bursts up to which a window is recommended: below it a longer wait brings little."""

GAPS_MIN = 100
"""Gaps from which on a window is recommended."""


@dataclass(slots=True)
class Figures:
    """The counters of one channel, or of several together."""

    counters: Counter[str] = field(default_factory=Counter)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    today: Counter[str] = field(default_factory=Counter)

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
        """Return the share of the flushes whose burst began while the person still waited for an answer."""
        return min(1.0, self.counters["bursts_split"] / self.calls) if self.calls else None

    @property
    def gaps_per_burst(self) -> float | None:
        """Return how many gaps a burst has on average, if those that split it are counted as part of it."""
        whole = self.calls - self.counters["bursts_split"]
        gaps = self.counters["flush_messages"] - self.calls + self.counters["bursts_split"]
        return max(0, gaps) / whole if whole > 0 else None

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


class Outlook(NamedTuple):
    """What a window would do: the share of calls that split a burst, and the calls of a burst on average."""

    window_s: float
    split_share: float
    calls_per_burst: float
    is_present: bool = False


def outlooks(figures: Figures, present_s: float | None, *others_s: float) -> list[Outlook]:
    """Return what each of WINDOWS_S, the present window and `others_s` would do. Empty without gaps.

    docs/cli.md tells how it is computed.
    """
    gaps, gaps_per_burst = figures.histograms.get("gap"), figures.gaps_per_burst
    if gaps is None or not gaps.count or gaps_per_burst is None:
        return []
    windows_s = sorted({*WINDOWS_S, *others_s, *([present_s] if present_s else [])})
    return [outlook_of(gaps, gaps_per_burst, one, one == present_s) for one in windows_s]


def outlook_of(gaps: Histogram, gaps_per_burst: float, window_s: float, is_present: bool = False) -> Outlook:
    """Return what a window would do to bursts with these gaps."""
    splits = gaps_per_burst * share_above(gaps, window_s * 1000)
    return Outlook(window_s, splits / (1 + splits), 1 + splits, is_present)


def share_above(histogram: Histogram, limit_ms: float) -> float:
    """Return the share of the values above a limit. Within a bucket they are spread evenly on a logarithmic scale."""
    above, lower_ms = 0.0, histogram.bounds_ms[0] / 2
    for bound_ms, count in zip(histogram.bounds_ms, histogram.counts, strict=True):
        above += count * share_of_bucket_above(lower_ms, bound_ms, limit_ms)
        lower_ms = bound_ms
    return above / histogram.count if histogram.count else 0.0


def share_of_bucket_above(lower_ms: float, upper_ms: float, limit_ms: float) -> float:
    """Return the share of the values of a bucket that lies above a limit, if their logarithms are spread evenly."""
    if limit_ms <= lower_ms:
        return 1.0
    if limit_ms >= upper_ms:
        return 0.0
    return 1.0 if math.isinf(upper_ms) else math.log(upper_ms / limit_ms) / math.log(upper_ms / lower_ms)


def recommended_s(figures: Figures) -> int | None:
    """Return the shortest window in whole seconds that splits few bursts, None without enough gaps."""
    gaps, gaps_per_burst = figures.histograms.get("gap"), figures.gaps_per_burst
    if gaps is None or gaps.count < GAPS_MIN or gaps_per_burst is None:
        return None
    longest_s = math.ceil(BOUNDS_MS["gap"][-1] / 1000)
    tried = (outlook_of(gaps, gaps_per_burst, second) for second in range(1, longest_s + 1))
    return next((int(one.window_s) for one in tried if one.split_share <= SPLIT_SHARE_GOOD), None)


def bars(counts: Sequence[int], width: int) -> list[int]:
    """Return the length of a bar for each count: the largest has `width`, and none that counts anything has 0."""
    most = max(counts, default=0)
    return [0 if not count else max(1, round(count * width / most)) for count in counts]
