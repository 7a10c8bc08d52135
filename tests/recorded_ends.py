"""The history and the tallies of a partition, as tests read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from buffer.insight_models import CHANNEL_COUNTERS

TEXTS = {
    "ref",
    "gateway",
    "channel",
    "peer",
    "flush_id",
    "reason",
    "outcome",
    "cause",
    "error",
    "part",
    "span",
    "answered",
    "successor",
}
"""The fields of a record that are no numbers."""


def read_record(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return a record of the history."""
    text = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
    return {name: value if name in TEXTS else int(value) for name, value in text.items() if value}


def summed(tallies: Iterable[Mapping[bytes, bytes]]) -> Counter[str]:
    """Return the counters of all channels together, without histograms."""
    total: Counter[str] = Counter()
    for tally in tallies:
        total.update({name: int(tally[name.encode()]) for name in CHANNEL_COUNTERS if name.encode() in tally})
    return total
