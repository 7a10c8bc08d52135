"""The RQ job that a stock `rq worker --serializer json` runs in place of this project's worker, one job at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache

from buffer.keys import Ref
from buffer.store import Store
from buffer.transport.clients import connect
from config.routes import Routes, load_routes
from config.settings import Settings, load_settings, require
from worker.agents import Agents
from worker.flush import Flusher, flush_all
from worker.rq.job_ids import refs_of_argument

REDIS_TIMEOUT_S = 5.0


def flush(name: str) -> str:
    """Deliver the batches of the conversations that the argument names. Return one result word for each."""
    return asyncio.run(_flush(refs_of_argument(name), _routes()))


def redrive(flush_id: str) -> str:
    """Redrive a dead letter whose job an operator requeued. Return the result as one word."""
    return asyncio.run(_redrive(flush_id, _routes().base))


@cache
def _routes() -> Routes:
    return load_routes(load_settings())


async def _redrive(flush_id: str, settings: Settings) -> str:
    store = Store(connect(require(settings.redis_url, "REDIS_URL"), timeout_s=REDIS_TIMEOUT_S), settings)
    try:
        return await store.redrive(flush_id)
    finally:
        await store.close()


async def _flush(refs: Sequence[Ref], routes: Routes) -> str:
    settings = routes.base
    client = connect(require(settings.redis_url, "REDIS_URL"), timeout_s=REDIS_TIMEOUT_S)
    store = Store(client, settings)
    agents = Agents(routes)
    flusher = Flusher(store, agents, settings, routes)
    try:
        return await flush_all(flusher.flush, refs)
    finally:
        await flusher.close()
        await agents.close()
        await store.close()
