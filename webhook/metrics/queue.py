"""What RQ's keys tell of the queue and its workers. Two plain reads, without RQ's own classes, which block."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from buffer.transport.clients import AsyncClient, connect
from config.settings import Settings

QUEUE_KEY, WORKERS_KEY = "rq:queue:{}", "rq:workers:{}"
"""RQ's LIST of waiting jobs, and its SET of the keys of a queue's workers."""

HEARTBEAT_AGE_MAX = timedelta(seconds=60)
"""The age up to which a heartbeat counts."""


QUEUE_TIMEOUT_S = 1.0
"""Seconds that a read waits for RQ's Redis."""


class QueueState(NamedTuple):
    """How many jobs wait, and how many workers are alive."""

    jobs: int
    workers: int


async def read_queue(client: AsyncClient, queue: str) -> QueueState | None:
    """Return the state of a queue. Returns None if its Redis does not answer."""
    try:
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.llen(QUEUE_KEY.format(queue))
            pipeline.smembers(WORKERS_KEY.format(queue))
            jobs, keys = await pipeline.execute()
        return QueueState(jobs, await _count_alive(client, keys))
    except (RedisError, OSError):
        return None


async def _count_alive(client: AsyncClient, keys: set[bytes]) -> int:
    async with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hget(key, "last_heartbeat")
        beats: list[Any] = await pipeline.execute() if keys else []
    now = datetime.now(UTC)
    return sum(now - datetime.fromisoformat(beat.decode()) < HEARTBEAT_AGE_MAX for beat in beats if beat)


class QueueReader:
    """Reads the state of the queue, with connections of its own if RQ has a Redis of its own."""

    def __init__(self, store_client: AsyncClient, settings: Settings) -> None:
        self._queue = settings.rq_queue
        self._store_client = store_client
        self._own_client: AsyncClient | None = None
        if settings.rq_redis_url is not None and settings.rq_redis_url != settings.redis_url:
            self._own_client = connect(settings.rq_redis_url, timeout_s=QUEUE_TIMEOUT_S)

    async def read(self) -> QueueState | None:
        """Return the state. Returns None if RQ's Redis does not answer in time."""
        try:
            async with asyncio.timeout(2 * QUEUE_TIMEOUT_S):
                return await read_queue(self._own_client or self._store_client, self._queue)
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Close the connections of its own."""
        if self._own_client is not None:
            await self._own_client.aclose()
