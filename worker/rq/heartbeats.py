"""Which flush workers are alive, as RQ's books in Redis tell."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from rq.utils import now, utcparse
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from buffer.transport.clients import AsyncClient

FRESH = timedelta(seconds=60)
"""A worker reports every 20 s."""


async def live_worker_hosts(client: AsyncClient, queue: str) -> list[str]:
    """The host names of the workers of a queue that reported lately; raises redis-py's errors."""
    keys = await client.smembers(WORKERS_BY_QUEUE_KEY % queue)
    rows: list[Any] = [await client.hmget(key, "hostname", "last_heartbeat") for key in sorted(keys)]
    return [host.decode() for host, beat in rows if host and beat and is_fresh(beat.decode(), now())]


def is_fresh(beat: str, moment: datetime) -> bool:
    """Whether a heartbeat, in RQ's notation, is recent at that moment."""
    return moment - utcparse(beat) < FRESH
