"""Checks before a service starts: its Redis URLs can be read, and the server may hold messages."""

from __future__ import annotations

import redis.exceptions as rx

from buffer.errors import PartitionMismatch, StoreError, UnsafeServer
from buffer.transport.clients import AsyncClient, connect
from buffer.transport.server_checks import check_server
from config.settings import Settings, SettingsError, require

REPLY_TIMEOUT_S = 2.0
REDIS_ERRORS = (rx.RedisError, rx.RedisClusterException, OSError)
"""The exceptions that redis-py raises for a server that cannot be used. The one for a cluster is no RedisError."""


def open_client(url: str, name: str) -> AsyncClient:
    """Return a client for the URL of the setting `name`, not connected yet. Raises SettingsError for a bad URL."""
    try:
        return connect(url, timeout_s=REPLY_TIMEOUT_S)
    except ValueError as error:
        raise SettingsError(f"{name}: this address cannot be understood: {error}") from None


def replica_conflict(settings: Settings) -> str | None:
    """Return a refusal if DURABILITY=replica is set for the embedded server, which has no replica, else None."""
    if settings.redis_url is not None or settings.durability != "replica":
        return None
    return (
        "DURABILITY=replica: the embedded server has none. Set REDIS_URL to a server with a replica, or DURABILITY=disk"
    )


async def preflight(settings: Settings, *, accepting: bool = True) -> None:
    """Raise SettingsError, UnsafeServer or PartitionMismatch. A server that is away is no reason to refuse."""
    if settings.rq_redis_url is not None:
        await open_client(settings.rq_redis_url, "RQ_REDIS_URL").aclose()
    client = open_client(require(settings.redis_url, "REDIS_URL"), "REDIS_URL")
    try:
        await check_server(client, settings, accepting=accepting)
    except (UnsafeServer, PartitionMismatch):
        raise
    except (StoreError, *REDIS_ERRORS):
        # The service itself logs this and waits for the server.
        return
    finally:
        await client.aclose()
