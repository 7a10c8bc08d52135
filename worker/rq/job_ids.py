"""What one RQ job carries: in quiet times one conversation, and a slice of those that are due when there are too many.

A job's id says which conversations it carries, so that whoever reads the queue's ids knows all that wait there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from buffer.keys import Ref
from buffer.models import Due

HASH_SIZE = 16
"""Characters of a conversation's hash (buffer/keys.py): a slice's hashes stand one behind the other."""

Flush = Callable[[Ref], Coroutine[Any, Any, str]]


class NewJob(NamedTuple):
    """A job's id and argument, which name the conversations that it carries, and how many they are."""

    job_id: str
    name: str
    size: int


def group_into_jobs(due: Sequence[Due], size: int) -> Iterator[NewJob]:
    """Jobs of up to `size` conversations of one partition, in order."""
    for _, group in groupby(due, lambda item: item.ref.partition):
        alike = list(group)
        for start in range(0, len(alike), size):
            part = alike[start : start + size]
            name = str(part[0].ref) + "".join(item.ref.hash for item in part[1:])
            yield NewJob(f"{name}-{part[0].dispatch}", name, len(part))


def refs_of_argument(name: str) -> list[Ref]:
    """The conversations of a job's argument; raises ValueError when it is not ours."""
    first = Ref.parse(name)
    hashes = first.hash
    if len(hashes) % HASH_SIZE:
        raise ValueError(f"{name!r} is not a slice; expected <partition>-<hashes of {HASH_SIZE} characters>")
    return [Ref(first.partition, hashes[at : at + HASH_SIZE]) for at in range(0, len(hashes), HASH_SIZE)]


def refs_of_id(job_id: str) -> list[Ref]:
    """The conversations of a job id; raises ValueError for a job that is not ours."""
    name, dash, number = job_id.rpartition("-")
    if not dash or not number.isdigit():
        raise ValueError(f"RQ job {job_id!r} is not a flush; expected <partition>-<hashes>-<number>")
    return refs_of_argument(name)


async def flush_all(flush: Flush, refs: Sequence[Ref]) -> str:
    """Flush at the same time; one that fails does not end the others, and its error is raised at the end."""
    if len(refs) == 1:
        return await flush(refs[0])
    flushes = [asyncio.create_task(flush(ref)) for ref in refs]
    try:
        await asyncio.wait(flushes)
    except asyncio.CancelledError:
        for one in flushes:
            one.cancel()
        await asyncio.wait(flushes)
        raise
    return " ".join([one.result() for one in flushes])
