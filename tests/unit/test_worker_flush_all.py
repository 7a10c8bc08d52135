"""flush_all: the flushes of one job run at the same time and end together."""

from __future__ import annotations

import asyncio

import pytest

from buffer.keys import Ref, ref_of
from buffer.models import Conversation
from worker.flush import flush_all

REFS = [ref_of(Conversation("generic", "loja", f"p{number}"), 16) for number in range(50)]


async def test_all_at_the_same_time():
    """No flush waits for the agent call of another."""
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
    """The others are delivered, and then the error is raised."""
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
    """Each flush is cancelled, and may release its batch before the job ends."""
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
