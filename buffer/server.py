"""Is this Redis fit to hold messages, and was it first used with the same number of partitions?"""

from __future__ import annotations

import redis.exceptions as rx

from buffer.connect import AsyncClient
from buffer.errors import PartitionMismatch, UnsafeServer
from buffer.keys import Keys
from buffer.pipe import store_error
from config.settings import Settings

OLDEST = (6, 2)
"""BLMOVE, LMOVE and ZADD's options need Redis 6.2 (Valkey reports 7.2)."""


async def prepare(client: AsyncClient, settings: Settings) -> None:
    """Check the server and agree on the partitions; raises UnsafeServer, PartitionMismatch or StoreError."""
    try:
        for info in await _infos(client):
            _check_version(str(info.get("redis_version", "0")))
            _check_policy(str(info.get("maxmemory_policy", "noeviction")))
        await _agree_on_partitions(client, settings)
    except (rx.RedisError, rx.RedisClusterException, OSError) as error:
        raise store_error(error) from error


async def _infos(client: AsyncClient) -> list[dict[str, object]]:
    info = await client.info()
    nodes = [value for value in info.values() if isinstance(value, dict) and "redis_version" in value]
    return nodes or [info]


def _check_version(version: str) -> None:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        raise UnsafeServer(f"REDIS_URL: this server is Redis {version}; Redis 6.2 or Valkey 8 is the oldest that works")


def _check_policy(policy: str) -> None:
    if policy != "noeviction":
        raise UnsafeServer(
            f"REDIS_URL: this server evicts keys when full (maxmemory-policy {policy}), which would lose messages; "
            "set maxmemory-policy noeviction"
        )


async def _agree_on_partitions(client: AsyncClient, settings: Settings) -> None:
    key = Keys(settings.redis_key_prefix).meta
    wanted = settings.redis_partitions
    # A full server refuses to write even what is there already, and must still be drained: look first.
    if not await client.hexists(key, "partitions"):
        await client.hsetnx(key, "partitions", wanted)
    found = int(await client.hget(key, "partitions"))
    if found != wanted:
        raise PartitionMismatch(
            f"REDIS_PARTITIONS={wanted}, but this Redis was first used with {found}: set REDIS_PARTITIONS={found}, "
            "or use another REDIS_KEY_PREFIX"
        )
