"""Makes the metric families of a scrape from what Redis holds. Nothing is kept between two scrapes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from buffer.held_agent_calls import HeldAgent
from buffer.insight_models import BOUNDS_MS, ChannelTotals, Gauges
from buffer.reply_models import HeldChannel
from buffer.window_policy import Window
from webhook import tallies
from webhook.metrics import table
from webhook.metrics.labels import label_of
from webhook.metrics.queue import QueueState
from webhook.metrics.table import Metric

Labels = tuple[str, ...]
Values = Mapping[Labels, float]


@dataclass(slots=True, frozen=True)
class Snapshot:
    """What one scrape has read. `queue` is None if RQ's Redis did not answer. `agents` are those that are held.

    `windows` are those that channels have found.
    """

    totals: Sequence[ChannelTotals]
    gauges: Gauges
    held: Sequence[HeldChannel]
    queue: QueueState | None
    agents: Sequence[HeldAgent] = ()
    windows: Mapping[tuple[str, str], Window] | None = None


class SnapshotCollector(Collector):
    """Gives the families of one snapshot to prometheus_client, which writes them."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Family]:
        """Yield each family of the table."""
        snapshot = self._snapshot
        yield from _gauges(snapshot)
        yield from _channel_counters(snapshot.totals)
        yield from _partition_counters(snapshot.gauges.partition_counters)
        yield from _histograms(snapshot.totals)
        yield _append_times(snapshot.gauges.partition_counters)


def _gauges(snapshot: Snapshot) -> Iterator[Family]:
    gauges, queue = snapshot.gauges, snapshot.queue
    yield _gauge(table.PENDING, gauges.pending)
    yield _gauge(table.OVERDUE, gauges.overdue)
    yield _gauge(table.OLDEST_OVERDUE, gauges.oldest_overdue_ms / 1000)
    yield _gauge(table.IDLE, gauges.idle)
    yield _gauge(table.DEAD, gauges.dead)
    yield _gauge(table.DOUBTS, gauges.doubts)
    yield _family_of_gauges(table.HELD, {_channel(one.gateway, one.channel): 1 for one in snapshot.held})
    windows = {_channel(*one): window.window_ms / 1000 for one, window in (snapshot.windows or {}).items()}
    yield _family_of_gauges(table.WINDOW, windows)
    yield from _held_agents(snapshot.agents)
    yield _family_of_gauges(table.GAP_TURNS, _gap_turns(snapshot.totals))
    yield _gauge(table.QUEUE_READABLE, queue is not None)
    if queue is not None:
        yield _gauge(table.QUEUE_JOBS, queue.jobs)
        yield _gauge(table.WORKERS, queue.workers)


def _held_agents(agents: Iterable[HeldAgent]) -> Iterator[Family]:
    """Yield the gauges of agents that are held. Agents at one address are added up."""
    waiting: Counter[Labels] = Counter()
    for one in agents:
        waiting[one.address,] += one.waiting
    yield _family_of_gauges(table.AGENT_HELD, dict.fromkeys(waiting, 1))
    yield _family_of_gauges(table.AGENT_WAITING, waiting)


def _gap_turns(totals: Iterable[ChannelTotals]) -> Values:
    turns: Counter[Labels] = Counter()
    for one in totals:
        turns[label_of(one.gateway),] += one.gap_turns
    return turns


def _gauge(metric: Metric, value: float) -> Family:
    return _family_of_gauges(metric, {(): value})


def _family_of_gauges(metric: Metric, values: Values) -> Family:
    family = GaugeMetricFamily(metric.full_name, metric.help, labels=metric.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _counter(metric: Metric, values: Values) -> Family:
    family = CounterMetricFamily(metric.full_name, metric.help, labels=metric.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _channel(gateway: str, channel: str) -> Labels:
    return label_of(gateway), label_of(channel)


def _channel_counters(totals: Sequence[ChannelTotals]) -> Iterator[Family]:
    for field, metric in table.CHANNEL_COUNTERS.items():
        yield _counter(metric, _sums(totals, field))
    flushes: Counter[Labels] = Counter()
    for reason in table.FLUSH_REASONS:
        for labels, value in _sums(totals, f"flushes_{reason}").items():
            flushes[*labels, reason] = value
    yield _counter(table.FLUSHES, flushes)


def _sums(totals: Iterable[ChannelTotals], field: str) -> Counter[Labels]:
    """Return a counter by its labels. Channels with the same labels are added up.

    A known channel has all counters: Prometheus sees no increase in a counter that begins with 1.
    """
    sums: Counter[Labels] = Counter()
    for one in totals:
        sums[_channel(one.gateway, one.channel)] += one.counters.get(field, 0)
    return sums


def _partition_counters(counters: Mapping[str, int]) -> Iterator[Family]:
    for field, metric in table.PARTITION_COUNTERS.items():
        yield _counter(metric, {(): counters.get(field, 0)})
    yield _counter(table.REQUESTS_REJECTED, _left_out(counters, tallies.REQUESTS_REJECTED))
    yield _counter(table.MESSAGES_IGNORED, _left_out(counters, tallies.MESSAGES_IGNORED))


def _left_out(counters: Mapping[str, int], what: str) -> Values:
    """Return the counts of the fields `<what>:<gateway>:<reason>`."""
    fields = ((field.split(":"), number) for field, number in counters.items() if field.startswith(f"{what}:"))
    return {(gateway, reason): number for (_, gateway, reason), number in fields}


def _histograms(totals: Sequence[ChannelTotals]) -> Iterator[Family]:
    for field, metric in table.HISTOGRAMS.items():
        family = HistogramMetricFamily(metric.full_name, metric.help, labels=metric.labels)
        for labels, (counts, sum_ms) in _added_up(totals, field).items():
            family.add_metric(labels, _buckets(BOUNDS_MS[field], counts), sum_ms / 1000)
        yield family
    gaps = GaugeHistogramMetricFamily(table.GAPS.full_name, table.GAPS.help, labels=table.GAPS.labels)
    for labels, (counts, _) in _added_up(totals, "gap").items():
        gaps.add_metric(labels, _buckets(BOUNDS_MS["gap"], counts), _sum_of_middles_s(BOUNDS_MS["gap"], counts))
    yield gaps


def _sum_of_middles_s(bounds_ms: Sequence[float], counts: Sequence[int]) -> float:
    """Return about the sum of the values: append does not add up the gaps, which would be one command more."""
    middles_ms = ((low + high) / 2 for low, high in pairwise((0.0, *bounds_ms)))
    return round(sum(number * middle_ms for number, middle_ms in zip(counts, middles_ms, strict=True)) / 1000, 3)


def _added_up(totals: Iterable[ChannelTotals], field: str) -> dict[Labels, tuple[list[int], int]]:
    """Return the counts of a histogram's buckets and its sum in ms, by gateway."""
    sums: dict[Labels, tuple[list[int], int]] = {}
    for one in totals:
        found = one.histograms.get(field)
        if found is not None:
            labels = (label_of(one.gateway),)
            counts, sum_ms = sums.get(labels, ([0] * len(found.counts), 0))
            added = [a + b for a, b in zip(counts, found.counts, strict=True)]
            sums[labels] = added, sum_ms + found.sum_ms
    return dict(sorted(sums.items()))


def _buckets(bounds_ms: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus wants them: each has all values up to its bound in seconds."""
    buckets, total = [], 0
    for bound_ms, number in zip(bounds_ms, counts, strict=True):
        total += number
        buckets.append(("+Inf" if bound_ms == math.inf else repr(round(bound_ms / 1000, 6)), float(total)))
    return buckets if bounds_ms[-1] == math.inf else [*buckets, ("+Inf", float(total))]


def _append_times(counters: Mapping[str, int]) -> Family:
    bounds_ms, name = tallies.APPEND_BOUNDS_MS, tallies.APPEND_MS
    counts = [counters.get(f"{name}:{i}", 0) for i in range(len(bounds_ms))]
    family = HistogramMetricFamily(table.APPEND.full_name, table.APPEND.help, labels=())
    family.add_metric((), _buckets(bounds_ms, counts), counters.get(f"{name}:sum", 0) / 1000)
    return family
