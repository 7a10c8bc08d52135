"""What RQ's keys tell of the queue and its workers. Two plain reads, without RQ's own classes, which block."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from buffer.transport.clients import AsyncClient

QUEUE_KEY, WORKERS_KEY = "rq:queue:{}", "rq:workers:{}"
"""RQ's LIST of waiting jobs, and its SET of the keys of a queue's workers."""

HEARTBEAT_AGE_MAX = timedelta(seconds=60)
"""The age up to which a heartbeat counts."""


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
