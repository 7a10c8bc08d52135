"""Names of RQ jobs: which conversations one job carries.

A job carries one conversation, or a group of conversations of one partition when many are due. Its id lists their
hashes, so the ids in RQ's queue tell which conversations wait there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from buffer.keys import Ref
from buffer.models import Due

JOB_FUNCTION = "worker.job.flush"
"""The path of the function that RQ stores in each job and that a stock worker calls."""

HASH_SIZE = 16
"""Characters of a conversation's hash (buffer/keys.py). A group's hashes follow each other without a separator."""


class NewJob(NamedTuple):
    """A job for RQ's queue: its id, its one argument, and the number of conversations that it carries."""

    job_id: str
    argument: str
    size: int


def group_into_jobs(due: Sequence[Due], size_max: int) -> Iterator[NewJob]:
    """Yield jobs of up to `size_max` consecutive conversations of one partition, in order."""
    for _, same_partition in groupby(due, lambda item: item.ref.partition):
        items = list(same_partition)
        for start in range(0, len(items), size_max):
            group = items[start : start + size_max]
            argument = str(group[0].ref) + "".join(item.ref.hash for item in group[1:])
            yield NewJob(f"{argument}-{group[0].dispatch}", argument, len(group))


def refs_of_argument(argument: str) -> list[Ref]:
    """Return the conversations of a job's argument. Raises ValueError if the text is not `<partition>-<hashes>`."""
    first = Ref.parse(argument)
    hashes = first.hash
    if len(hashes) % HASH_SIZE:
        raise ValueError(f"{argument!r} is not a group; expected <partition>-<hashes of {HASH_SIZE} characters>")
    return [Ref(first.partition, hashes[at : at + HASH_SIZE]) for at in range(0, len(hashes), HASH_SIZE)]


def refs_of_id(job_id: str) -> list[Ref]:
    """Return the conversations of a job id. Raises ValueError for a job that the dispatcher did not make."""
    argument, dash, number = job_id.rpartition("-")
    if not dash or not number.isdigit():
        raise ValueError(f"RQ job {job_id!r} is not a flush; expected <partition>-<hashes>-<number>")
    return refs_of_argument(argument)


def is_flush(job_id: str) -> bool:
    """Return True for an id that the dispatcher made."""
    try:
        return bool(refs_of_id(job_id))
    except ValueError:
        return False
