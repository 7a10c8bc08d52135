"""Names of RQ jobs: which conversations one job carries.

A job carries one conversation, or a group of conversations of one partition when many are due. Its id lists their
hashes, so the ids in RQ's queue tell which conversations wait there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from buffer.keys import Ref
from buffer.models import Due

JOB_FUNCTION = "worker.job.flush"
"""The path of the function that RQ stores in each job and that a stock worker calls."""

REDRIVE_FUNCTION = "worker.job.redrive"
"""The path of the function of a job that stands for a dead letter."""

SHOWN_NUMBER = 0
"""Ends the id of a job that shows a pending conversation. Dispatches count from 1, so no job of theirs has this id."""

LETTER_ID = re.compile(r"dead-(\d+-[A-Za-z0-9_-]{16}-\d+-[0-9a-f]+)(?:_(\d+))?")
"""The id of a job that shows a dead letter: the flush_id, and the number of a part. RQ allows no dot in an id."""

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


def shown_id(ref: Ref) -> str:
    """Return the id of the job that shows a pending conversation. The job's argument is the reference."""
    return f"{ref}-{SHOWN_NUMBER}"


def letter_id(flush_id: str) -> str:
    """Return the id of the job that shows a dead letter."""
    return f"dead-{flush_id.replace('.', '_')}"


def letter_of_id(job_id: str) -> str | None:
    """Return the flush_id of the dead letter that a job shows, or None for any other job."""
    found = LETTER_ID.fullmatch(job_id)
    return found and (f"{found[1]}.{found[2]}" if found[2] else found[1])


def is_ours(job_id: str) -> bool:
    """Return True for the id of a flush or of a dead letter."""
    return is_flush(job_id) or letter_of_id(job_id) is not None
