"""The RQ job: what a stock `rq worker --serializer json` runs, one at a time, in place of our own worker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache

from buffer.keys import Ref
from buffer.store import Store
from buffer.transport.clients import connect
from config.settings import Settings, load_settings, require
from worker.agent import Agent
from worker.flush import Flusher
from worker.rq.job_ids import flush_all, refs_of_argument

JOB = "worker.job.flush"
"""The function's path, as RQ stores it."""

REDIS_TIMEOUT_S = 5.0


def flush(name: str) -> str:
    """Deliver the batch of a conversation, or of each in a slice, named opaquely; returns what came of it."""
    return asyncio.run(_flush(refs_of_argument(name), _settings()))


@cache
def _settings() -> Settings:
    return load_settings()


async def _flush(refs: Sequence[Ref], settings: Settings) -> str:
    client = connect(require(settings.redis_url, "REDIS_URL"), timeout_s=REDIS_TIMEOUT_S)
    store = Store(client, settings)
    agent = Agent(settings)
    try:
        return await flush_all(Flusher(store, agent, settings).flush, refs)
    finally:
        await agent.close()
        await store.close()
