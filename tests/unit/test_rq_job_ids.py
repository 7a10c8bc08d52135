"""slices: what a job's id and argument say about the conversations it carries, and how they are flushed."""

from __future__ import annotations

import asyncio

import pytest
from rq.job import validate_job_id

from buffer.keys import Ref, ref_of
from buffer.models import Conversation, Due
from worker.rq.job_ids import flush_all, group_into_jobs, refs_of_argument, refs_of_id

REFS = [ref_of(Conversation("generic", "loja", f"p{number}"), 16) for number in range(50)]
DUE = [Due(ref, 7 + number) for number, ref in enumerate(REFS)]


@pytest.mark.parametrize("size", [1, 2, 16, 64])
def test_a_job_names_its_conversations(size: int):
    """Id and argument carry the same conversations, all of them once, in their order; RQ accepts the id."""
    jobs = list(group_into_jobs(DUE, size))
    assert len(jobs) == -(-50 // size)
    assert [ref for job in jobs for ref in refs_of_id(job.job_id)] == REFS
    assert [ref for job in jobs for ref in refs_of_argument(job.name)] == REFS
    assert [job.size for job in jobs] == [len(refs_of_argument(job.name)) for job in jobs]
    for job in jobs:
        validate_job_id(job.job_id)


def test_a_job_of_one_is_as_ever():
    """`<partition>-<hash>-<number>`, with the conversation's reference as its argument."""
    assert list(group_into_jobs(DUE[:1], 16)) == [(f"{REFS[0]}-7", str(REFS[0]), 1)]


def test_no_id_is_used_twice():
    """The same conversations dispatched again have another number."""
    again = [Due(item.ref, item.dispatch + 50) for item in DUE]
    ids = [job.job_id for due in (DUE, again) for job in group_into_jobs(due, 16)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("job_id", ["", "x", f"{REFS[0]}", f"{REFS[0]}x-7", "0--7", "0-short-7", f"x{REFS[0]}-7"])
def test_what_is_not_ours(job_id: str):
    """A job of somebody else in our queue is no flush."""
    with pytest.raises(ValueError, match="expected"):
        refs_of_id(job_id)


async def test_all_at_the_same_time():
    """Nobody waits for his neighbour's agent."""
    together = asyncio.Event()
    here: set[Ref] = set()

    async def flush(ref: Ref) -> str:
        here.add(ref)
        if len(here) == 10:
            together.set()
        await together.wait()
        return "acked"

    assert await asyncio.wait_for(flush_all(flush, REFS[:10]), 20) == " ".join(["acked"] * 10)


async def test_one_that_fails():
    """The others are delivered, and then RQ hears of the failure."""
    done: list[Ref] = []

    async def flush(ref: Ref) -> str:
        if ref == REFS[1]:
            raise RuntimeError("broken")
        await asyncio.sleep(0.01)
        done.append(ref)
        return "acked"

    with pytest.raises(RuntimeError, match="broken"):
        await flush_all(flush, REFS[:3])
    assert sorted(done) == sorted([REFS[0], REFS[2]])


async def test_cancelled():
    """Each flush is cancelled and may hand its batch back before the job is over."""
    handed_back: list[Ref] = []

    async def flush(ref: Ref) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            handed_back.append(ref)
            raise
        return "acked"

    job = asyncio.create_task(flush_all(flush, REFS[:5]))
    await asyncio.sleep(0.01)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert sorted(handed_back) == sorted(REFS[:5])
