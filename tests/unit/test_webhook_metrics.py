"""The text of /metrics: Prometheus's own parser reads what the snapshot holds, and no label has a number."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest as as_text
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from buffer import scripts
from buffer.held_agent_calls import HeldAgent
from buffer.insight_models import BOUNDS_MS, CHANNEL_COUNTERS, ChannelTotals, Gauges, Histogram
from buffer.reply_models import HeldChannel
from buffer.window_policy import Window
from webhook.metrics import table
from webhook.metrics.families import Snapshot, SnapshotCollector
from webhook.metrics.labels import OTHER, label_of
from webhook.metrics.queue import QueueState
from webhook.tallies import APPEND_BOUNDS_MS

PHONE = "5511900000001"
LIKE_IT = "5511911111101"

ORDER = ("gateway", "channel", "reason", "le", "agent")
QUEUE = QueueState(8, 9)

PARTITION_COUNTERS = {
    **{field: 10 + i for i, field in enumerate(table.PARTITION_HELP)},
    "requests_rejected:-:unknown_gateway": 3,
    "requests_rejected:meta:unauthorized": 4,
    "messages_ignored:evolution:group": 5,
    "append_ms:0": 6,
    "append_ms:3": 2,
    "append_ms:sum": 14,
    "of_another_release": 1,
}


AGENTS = [
    HeldAgent("a", "https://n8n.example.com", 1, 2, "the agent answered 404", 2),
    HeldAgent("b", "https://n8n.example.com", 1, 2, "the agent answered 401", 3),
    HeldAgent("c", "http://10.0.0.9:3000", 1, 2, "connection refused", 7),
]


WINDOWS = {("evolution", "loja"): Window(5_200, "auto_channel")}


def histogram(name: str, bucket: int = 2, number: int = 7) -> Histogram:
    bounds_ms = BOUNDS_MS[name]
    return Histogram(bounds_ms, tuple(number if i == bucket else 0 for i in range(len(bounds_ms))), 1234)


def totals(gateway: str, channel: str, first: int) -> ChannelTotals:
    counters = {field: first + i for i, field in enumerate(CHANNEL_COUNTERS)}
    return ChannelTotals(gateway, channel, counters, {name: histogram(name) for name in BOUNDS_MS}, gap_turns=first)


def snapshot(*channels: ChannelTotals, queue: QueueState | None = QUEUE) -> Snapshot:
    gauges = Gauges(
        now_ms=1,
        pending=1,
        overdue=2,
        oldest_overdue_ms=3500,
        dead=4,
        doubts=5,
        idle=6,
        partition_counters=PARTITION_COUNTERS,
    )
    return Snapshot(channels, gauges, [HeldChannel("evolution", "loja", 1, "no key")], queue, AGENTS, WINDOWS)


def samples_of(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the values of each sample name by their labels, in the order of the table."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels[name] for name in ORDER if name in sample.labels)
            assert labels not in found.setdefault(sample.name, {}), f"{sample.name}{labels} is there twice"
            found[sample.name][labels] = sample.value
    return found


def scrape(*channels: ChannelTotals, queue: QueueState | None = QUEUE) -> dict:
    return samples_of(as_text(SnapshotCollector(snapshot(*channels, queue=queue))).decode())


LOJA, OTHERS = totals("evolution", "loja", 100), totals("", "", 900)


def test_every_counter_of_a_channel_is_there():
    """Each field has its own metric with the labels of its channel; those of the flushes share one."""
    found = scrape(LOJA, OTHERS)
    for field, number in LOJA.counters.items():
        reason = field.removeprefix("flushes_")
        if reason in table.FLUSH_REASONS:
            assert found["debouncer_flushes_total"]["evolution", "loja", reason] == number
        else:
            assert found[f"debouncer_{field}_total"]["evolution", "loja"] == number
            assert found[f"debouncer_{field}_total"][OTHER, OTHER] == OTHERS.counters[field]


def test_a_known_channel_has_all_counters():
    """A counter that begins with its first event would show no increase."""
    found = scrape(ChannelTotals("waha", "default", {"messages_accepted": 1}))
    assert found["debouncer_answers_again_total"] == {("waha", "default"): 0}


def test_gauges_are_those_of_the_snapshot():
    """Each gauge of the buffer, the held channels, and RQ's queue."""
    found = scrape()
    expected = {
        "conversations_pending": 1,
        "conversations_overdue": 2,
        "oldest_overdue_seconds": 3.5,
        "dead_letters_kept": 4,
        "doubts_open": 5,
        "conversations_idle": 6,
        "queue_readable": 1,
        "queue_jobs": 8,
        "workers": 9,
    }
    assert {name: found[f"debouncer_{name}"][()] for name in expected} == expected
    assert found["debouncer_channel_held"] == {("evolution", "loja"): 1}
    assert found["debouncer_channel_window_seconds"] == {("evolution", "loja"): 5.2}


def test_agents_that_are_held():
    """Two at one address (two keys) are one series, and those that wait are added up."""
    found = scrape()
    assert found["debouncer_agent_held"] == {("https://n8n.example.com",): 1, ("http://10.0.0.9:3000",): 1}
    assert found["debouncer_agent_waiting"] == {("https://n8n.example.com",): 5, ("http://10.0.0.9:3000",): 7}


def test_an_unreadable_queue_has_no_numbers():
    """0 workers would be a lie; the alert on the queue tells instead."""
    found = scrape(queue=None)
    assert found["debouncer_queue_readable"] == {(): 0}
    assert not {"debouncer_queue_jobs", "debouncer_workers"} & set(found)


def test_counts_without_a_channel_are_there():
    """The counters of the partitions, and what the processes counted, with gateway and reason."""
    found = scrape()
    for field in table.PARTITION_HELP:
        assert found[f"debouncer_{field}_total"] == {(): PARTITION_COUNTERS[field]}
    assert found["debouncer_requests_rejected_total"] == {("-", "unknown_gateway"): 3, ("meta", "unauthorized"): 4}
    assert found["debouncer_messages_ignored_total"] == {("evolution", "group"): 5}
    assert "of_another_release" not in repr(found)


@pytest.mark.parametrize("field", table.HISTOGRAMS)
def test_histograms_are_added_up_by_gateway(field: str):
    """Buckets are cumulative and in seconds, and those of two channels of a gateway are one histogram."""
    found = scrape(LOJA, totals("evolution", "outra", 0), totals("waha", "default", 0))
    name = table.HISTOGRAMS[field].full_name
    bounds = [("+Inf" if bound == math.inf else repr(bound / 1000)) for bound in BOUNDS_MS[field]]
    expected = [0, 0, *([14] * (len(bounds) - 2))]
    assert [found[f"{name}_bucket"]["evolution", bound] for bound in bounds] == expected
    assert found[f"{name}_count"] == {("evolution",): 14, ("waha",): 7}
    assert found[f"{name}_sum"] == {("evolution",): 2.468, ("waha",): 1.234}


def test_gaps_and_append_times():
    """The gaps are a gauge histogram, since they shrink, with a last bucket; the append times have no labels."""
    found = scrape(LOJA)
    buckets = [number for (_, _), number in found["debouncer_gap_seconds_bucket"].items()]
    assert buckets == [0, 0] + [7] * 23
    assert found["debouncer_gap_seconds_gcount"] == {("evolution",): 7}
    assert list(found["debouncer_append_seconds_bucket"].values()) == [6, 6, 6] + [8] * (len(APPEND_BOUNDS_MS) - 3)
    assert found["debouncer_append_seconds_sum"] == {(): 0.014}


def test_both_formats_hold_the_same():
    """The strict parser of OpenMetrics accepts the text, and finds what the other one finds."""
    collector = SnapshotCollector(snapshot(LOJA, OTHERS))
    strict = openmetrics.text_string_to_metric_families(as_openmetrics(collector).decode())
    assert sorted(map(plain, (sample for family in strict for sample in family.samples))) == sorted(
        (name, tuple(sorted(labels)), value)
        for name, values in scrape(LOJA, OTHERS).items()
        for labels, value in values.items()
    )


def plain(sample: Sample) -> tuple[str, tuple[str, ...], float]:
    return sample.name, tuple(sorted(sample.labels.values())), sample.value


def test_each_metric_is_that_of_the_table():
    """A scrape has the names, labels, kinds and helps of the table, and nothing else."""
    families = list(SnapshotCollector(snapshot(LOJA)).collect())
    kinds = {"gaugehistogram": "gauge histogram"}
    assert {family.name: (kinds.get(family.type, family.type), family.documentation) for family in families} == {
        metric.full_name: (metric.kind, metric.help) for metric in table.metrics()
    }
    names = {sample.name for family in families for sample in family.samples}
    assert names == {name for metric in table.metrics() for name in metric.sample_names}
    by_name = {metric.full_name: set(metric.labels) for metric in table.metrics()}
    for family in families:
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == by_name[family.name]


def test_the_table_has_every_counter_of_the_scripts():
    """A counter that a script begins to count needs a metric, with its help."""
    fields = {*table.CHANNEL_HELP, *(f"flushes_{reason}" for reason in table.FLUSH_REASONS)}
    assert fields == set(CHANNEL_COUNTERS)
    texts = [path.read_text() for path in (Path(scripts.__file__).parent / "lua").rglob("*.lua")]
    counted = {name for text in texts for name in re.findall(r"(?<![\w.])count\('(\w+)'", text)}
    counted |= {name for text in texts for name in re.findall(r"key\('counters'\), '(\w+)'", text)}
    assert counted == set(table.PARTITION_HELP)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("loja", "loja"),
        (PHONE, "5511*******01"),
        (f"{PHONE}@s.whatsapp.net", "5511*******01@s.whatsapp.net"),
        (f"whatsapp:+{PHONE}", "whatsapp:+5511*******01"),
        ("loja +55 (11) 90000-0001", "loja +55 (************01"),
        ("2 filiais, 17 canais", "2 filiais, 17 canais"),
        ("", OTHER),
    ],
)
def test_labels_have_no_numbers(name: str, label: str):
    """What may be a phone number is masked, however it is written; other digits stay."""
    assert label_of(name) == label


def test_the_turns_of_gaps():
    """The turns of the channels of a gateway are added up."""
    one = snapshot(totals("waha", PHONE, 7), totals("waha", LIKE_IT, 1000), totals("meta", "loja", 5))
    found = samples_of(as_text(SnapshotCollector(one)).decode())
    assert found["debouncer_gap_turns"] == {("waha",): 1007, ("meta",): 5}


def test_no_number_leaves():
    """Two channels whose numbers look the same when masked are one, so that no series is doubled."""
    held = [HeldChannel("waha", phone, 1, "no key") for phone in (PHONE, LIKE_IT)]
    channels = (totals("waha", PHONE, 7), totals("waha", LIKE_IT, 1000))
    one = snapshot(*channels)
    text = as_text(SnapshotCollector(Snapshot(one.totals, one.gauges, held, one.queue))).decode()
    assert not re.search(r"\d{8,}", text)
    found = samples_of(text)
    assert found["debouncer_messages_accepted_total"] == {("waha", "5511*******01"): 1007}
    assert found["debouncer_channel_held"] == {("waha", "5511*******01"): 1}
