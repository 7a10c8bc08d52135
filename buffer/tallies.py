"""The seam to tally.lua and fold.lua: adds counts that no script sees, and those that append has only written down."""

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


async def fold(store: Store, partition: int) -> int:
    """Add what append has counted lately to the tallies of a partition. Returns how many bytes of counts that were.

    Raises StoreUnavailable or StoreError. A server that takes no writes keeps them as they are, which is no error.
    """
    return read_fold(await store.run("fold", partition, []))


def read_fold(reply: int) -> int:
    """Return how many bytes of counts were added."""
    return int(reply)


def tally_args(amounts: Mapping[str, int]) -> list[str | int]:
    """Return the arguments of tally.lua."""
    return [word for field in amounts.items() for word in field]


def read_tally(reply: int) -> int:
    """Return how many fields were added to."""
    return int(reply)
