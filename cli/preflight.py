"""Before a service starts: does its Redis URL make sense, and is the server behind it fit to hold messages?"""

from __future__ import annotations

import redis.exceptions as rx

from buffer.errors import PartitionMismatch, StoreError, UnsafeServer
from buffer.transport.clients import AsyncClient, connect
from buffer.transport.server_checks import check_server
from config.settings import Settings, SettingsError, require

REPLY_WITHIN_S = 2.0
REDIS_ERRORS = (rx.RedisError, rx.RedisClusterException, OSError)
"""What redis-py raises for a server that cannot be used; a cluster's is no RedisError."""


def open_client(url: str, name: str) -> AsyncClient:
    """A client for the URL of the setting `name`, not connected yet; raises SettingsError."""
    try:
        return connect(url, timeout_s=REPLY_WITHIN_S)
    except ValueError as error:
        raise SettingsError(f"{name}: this address cannot be understood: {error}") from None


def reason(error: Exception) -> str:
    """What is wrong, without the innards of redis-py that Sentinel's errors carry."""
    return str(error).partition(" : <")[0] or type(error).__name__


def replica_conflict(settings: Settings) -> str | None:
    """What to do where the embedded server, which has no replica, would have to wait for one."""
    if settings.redis_url is not None or settings.durability != "replica":
        return None
    return (
        "DURABILITY=replica: the embedded server has none. Set REDIS_URL to a server with a replica, or DURABILITY=disk"
    )


async def preflight(settings: Settings, *, accepting: bool = True) -> None:
    """Raises SettingsError, UnsafeServer or PartitionMismatch; a server that is away is none of these."""
    if settings.rq_redis_url is not None:
        await open_client(settings.rq_redis_url, "RQ_REDIS_URL").aclose()
    client = open_client(require(settings.redis_url, "REDIS_URL"), "REDIS_URL")
    try:
        await check_server(client, settings, accepting=accepting)
    except (UnsafeServer, PartitionMismatch):
        raise
    except (StoreError, *REDIS_ERRORS):
        # The service says so itself, and waits for it.
        return
    finally:
        await client.aclose()
