"""The seam to tally.lua: adds counts that no script sees to those in Redis."""

from __future__ import annotations

from collections.abc import Mapping

from buffer.store import Store

COUNTS_PARTITION = 0
"""The partition whose key `counters` has these counts of all partitions."""


async def add_counts(store: Store, amounts: Mapping[str, int]) -> int:
    """Add amounts to fields of the counters. Returns how many fields that were.

    Raises StoreUnavailable, StoreFull or StoreError. If only the reply was lost, the amounts have been added.
    """
    return read_tally(await store.run("tally", COUNTS_PARTITION, tally_args(amounts)))


def tally_args(amounts: Mapping[str, int]) -> list[str | int]:
    """Return the arguments of tally.lua."""
    return [word for field in amounts.items() for word in field]


def read_tally(reply: int) -> int:
    """Return how many fields were added to."""
    return int(reply)
