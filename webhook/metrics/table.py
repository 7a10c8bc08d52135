"""Every metric: its name, kind, labels and help. docs/metrics.md is written from this table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

PREFIX = "debouncer_"

Kind = Literal["counter", "gauge", "histogram", "gauge histogram"]

SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gauge histogram": ("_bucket", "_gsum", "_gcount"),
}
"""What follows the name of a metric in the names of its samples."""


@dataclass(slots=True, frozen=True)
class Metric:
    """One metric. `name` is without its prefix and without the suffixes of its samples."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str

    @property
    def full_name(self) -> str:
        """Return the name with its prefix."""
        return PREFIX + self.name

    @property
    def sample_names(self) -> list[str]:
        """Return the names of its samples."""
        return [self.full_name + suffix for suffix in SUFFIXES[self.kind]]


CHANNEL = ("gateway", "channel")

FLUSHES = Metric(
    "flushes", "counter", (*CHANNEL, "reason"), "Bursts that were sealed into a batch, by what closed them."
)
FLUSH_REASONS = ("quiet", "max_messages", "max_bytes", "max_wait", "keyword", "manual", "disabled")
"""The values of the label `reason` of the flushes. Each is a counter `flushes_<reason>` of a channel."""

CHANNEL_HELP = {
    "messages_accepted": "Messages that were stored for the agent.",
    "messages_duplicate": "Messages whose id was seen before: the gateway sent them again.",
    "messages_discarded": "Messages that no agent will get: discarded by an operator, a revoke or a takeover.",
    "messages_stale": "Messages that were older than MESSAGE_MAX_AGE when they came.",
    "messages_broken": "Messages refused because a key of their conversation was damaged.",
    "messages_full": "Messages refused because MESSAGE_BUFFER_MAX_PENDING of their conversation waited.",
    "flushes_single": "Flushes of one message. This tells how people write, and is no reason for an alarm.",
    "flushes_superseded": "Flushes that were taken back because the person went on (MESSAGE_WHILE_ANSWERING=restart).",
    "flush_messages": "Messages in all flushes. Divided by the flushes: messages for each call.",
    "bursts_split": "Bursts that began within a turn, whose window was too short: each call before it was premature.",
    "turns": "Turns: messages of a person, each at most 60 s after the one before, without an answer read between.",
    "turns_split": "Turns that were called an agent for before their last message.",
    "claims_busy": "Claims that were refused because a worker had the conversation already.",
    "acked": "Flushes that the agent accepted.",
    "agent_failures": "Attempts that the agent did not accept.",
    "dead_letters": "Flushes that could not be delivered and became dead letters.",
    "redriven": "Dead letters that were delivered again.",
    "leases_recovered": "Batches that were taken over from a worker that had died.",
    "answers_again": "Second answers for a batch that had one. It must stay 0.",
    "parts_sent": "Parts of answers that their gateway accepted.",
    "parts_refused": "Parts of answers that their gateway refused for good.",
    "parts_in_doubt": "Parts of which nobody knew whether they had been sent.",
    "doubts_resolved": "Parts in doubt of which a gateway told later that they had been sent.",
    "doubts_dropped": "Parts in doubt that an operator dropped.",
    "takeovers": "Conversations that a human took over.",
    "failed_after_sent": "Parts that a gateway accepted first and reported as failed later.",
}
"""The counters of a channel, by their field, with their help."""

PARTITION_HELP = {
    "dispatches": "Conversations that a dispatcher took from the wake index because they were due.",
    "resent": "Messages that were stored already when they were sent again after a lost reply of Redis.",
    "older_edits": "Edits that were older than the text they would have replaced.",
    "late_edits": "Edits of a message that was on its way to the agent or gone.",
    "late_revokes": "Revokes of a message that was on its way to the agent or gone.",
    "sick": "Damaged keys that were set aside as sick:*.",
    "broken": "Conversations with a key that no script could read.",
}
"""The counters that belong to no channel, by their field, with their help."""

CHANNEL_COUNTERS = {field: Metric(field, "counter", CHANNEL, text) for field, text in CHANNEL_HELP.items()}
PARTITION_COUNTERS = {field: Metric(field, "counter", (), text) for field, text in PARTITION_HELP.items()}

LEFT_OUT = ("gateway", "reason")
REQUESTS_REJECTED = Metric(
    "requests_rejected", "counter", LEFT_OUT, "Webhook requests that got an error. Gateway `-`: the address names none."
)
MESSAGES_IGNORED = Metric(
    "messages_ignored", "counter", LEFT_OUT, "Messages and events that call no agent, in requests that were accepted."
)

HISTOGRAMS = {
    "lateness_ms": Metric("lateness_seconds", "histogram", ("gateway",), "From a deadline to the claim of its flush."),
    "wait_ms": Metric(
        "wait_seconds", "histogram", ("gateway",), "From the last message of a batch to its first claim."
    ),
    "agent_ms": Metric("agent_seconds", "histogram", ("gateway",), "From a call to the agent to its answer."),
    "reply_ms": Metric(
        "reply_seconds", "histogram", ("gateway",), "From the last message of a batch to the first part of its answer."
    ),
}
"""The histograms of a channel, by their field."""

GAPS = Metric(
    "gap_seconds",
    "gauge histogram",
    ("gateway",),
    "Pauses between two messages of a person, also across flushes. Halved once a day, so take no rate of it. "
    "Its sum is that of the buckets' middles.",
)
APPEND = Metric(
    "append_seconds", "histogram", (), "From the first attempt to store the messages of a request to its result."
)

PENDING = Metric("conversations_pending", "gauge", (), "Conversations with an open burst or a batch. Use max.")
OVERDUE = Metric(
    "conversations_overdue", "gauge", (), "Conversations whose deadline has passed without a claim. Use max."
)
OLDEST_OVERDUE = Metric("oldest_overdue_seconds", "gauge", (), "For how long the oldest of them is overdue. Use max.")
IDLE = Metric("conversations_idle", "gauge", (), "Conversations that hold nothing and are still remembered. Use max.")
DEAD = Metric("dead_letters_kept", "gauge", (), "Dead letters that nobody has delivered again or discarded. Use max.")
DOUBTS = Metric("doubts_open", "gauge", (), "Parts of answers of which nobody knows whether they were sent. Use max.")
HELD = Metric("channel_held", "gauge", CHANNEL, "1: nothing can be sent through the channel. Use max.")
AGENT_HELD = Metric("agent_held", "gauge", ("agent",), "1: the agent fails for everyone, and is only probed. Use max.")
AGENT_WAITING = Metric("agent_waiting", "gauge", ("agent",), "Batches that wait for an agent that is held. Use max.")
QUEUE_READABLE = Metric(
    "queue_readable", "gauge", (), "1: RQ's Redis answered. 0: it did not, and the next two are missing. Use min."
)
QUEUE_JOBS = Metric("queue_jobs", "gauge", (), "Jobs that wait in RQ's queue. Use max.")
WORKERS = Metric("workers", "gauge", (), "Workers with a heartbeat in the last minute. Use max.")


def metrics() -> Iterator[Metric]:
    """Yield every metric, in the order of /metrics."""
    yield from (PENDING, OVERDUE, OLDEST_OVERDUE, IDLE, DEAD, DOUBTS, HELD, AGENT_HELD, AGENT_WAITING)
    yield from (QUEUE_READABLE, QUEUE_JOBS, WORKERS)
    yield from list(CHANNEL_COUNTERS.values())[:6]
    yield FLUSHES
    yield from list(CHANNEL_COUNTERS.values())[6:]
    yield from (MESSAGES_IGNORED, REQUESTS_REJECTED)
    yield from PARTITION_COUNTERS.values()
    yield from HISTOGRAMS.values()
    yield from (GAPS, APPEND)
