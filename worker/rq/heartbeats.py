"""The workers that are alive, read from RQ's keys.

RQ's own `Worker.all` is not used. It raises the client's reply timeout to 415 s, so that a health check would hang at a
frozen server, and it removes dead workers from RQ's list, which a health check must not do.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from rq.utils import now, utcparse
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from buffer.transport.clients import AsyncClient

HEARTBEAT_AGE_MAX = timedelta(seconds=60)
"""The age up to which a heartbeat counts. A worker sends one every 20 s (worker/rq/registries.py)."""


async def live_worker_hosts(client: AsyncClient, queue: str) -> list[str]:
    """Return the host names of a queue's workers whose last heartbeat is recent. Raises redis-py's errors."""
    keys = await client.smembers(WORKERS_BY_QUEUE_KEY % queue)
    rows: list[Any] = [await client.hmget(key, "hostname", "last_heartbeat") for key in sorted(keys)]
    return [host.decode() for host, beat in rows if host and beat and is_recent(beat.decode(), now())]


def is_recent(heartbeat: str, moment: datetime) -> bool:
    """Return True if a heartbeat, in RQ's notation, is recent at that moment."""
    return moment - utcparse(heartbeat) < HEARTBEAT_AGE_MAX
