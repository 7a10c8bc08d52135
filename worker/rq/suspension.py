"""Whether the queue is suspended (`rq suspend`), read from RQ's key."""

from __future__ import annotations

from rq.suspension import WORKERS_SUSPENDED

from buffer.transport.clients import AsyncClient


async def is_suspended(client: AsyncClient) -> bool:
    """Return True while RQ's workers take no jobs. Raises redis-py's errors."""
    return bool(await client.exists(WORKERS_SUSPENDED))
