"""The RQ job: what a stock `rq worker --serializer json` runs, one at a time, in place of our own worker."""

from __future__ import annotations

import asyncio

from buffer.connect import connect
from buffer.keys import Ref
from buffer.store import Store
from config.settings import Settings, load_settings, required
from worker.agent import Agent
from worker.flush import Flusher

JOB = "worker.job.flush"
"""The function's path, as RQ stores it."""

REDIS_TIMEOUT_S = 5.0


def flush(ref: str) -> str:
    """Deliver the batch of a conversation, named by its opaque reference; returns what came of it."""
    return asyncio.run(_flush(Ref.parse(ref), load_settings()))


async def _flush(ref: Ref, settings: Settings) -> str:
    client = connect(required(settings.redis_url, "REDIS_URL"), timeout_s=REDIS_TIMEOUT_S)
    store = Store(client, settings)
    agent = Agent(settings)
    try:
        return await Flusher(store, agent, settings).flush(ref)
    finally:
        await agent.close()
        await store.close()


def job_id(ref: str, dispatch: int) -> str:
    """The id of one dispatch of a conversation: never used twice, so no finish deletes another job's hash."""
    return f"{ref}-{dispatch}"


def ref_of_job(job_id: str) -> Ref:
    """The conversation of a job id; raises ValueError for a job that is not ours."""
    ref, dash, number = job_id.rpartition("-")
    if not dash or not number.isdigit():
        raise ValueError(f"RQ job {job_id!r} is not a flush; expected <partition>-<hash>-<number>")
    return Ref.parse(ref)
