"""Is this Redis fit to hold messages, and was it first used with the same number of partitions?"""

from __future__ import annotations

import re
from typing import Any

import redis.exceptions as rx

from buffer.errors import PartitionMismatch, StoreUnavailable, UnsafeServer, store_error
from buffer.keys import Keys
from buffer.transport.clients import AsyncClient
from buffer.transport.durability import Wait, durability_wait
from config.settings import Settings

OLDEST = (6, 2)
"""BLMOVE, LMOVE and ZADD's options need Redis 6.2 (Valkey reports 7.2)."""


async def check_server(client: AsyncClient, settings: Settings, *, accepting: bool = True) -> list[str]:
    """Check the server and agree on the partitions; raises UnsafeServer, PartitionMismatch or StoreError.

    Returns warnings. Who is not `accepting` messages promises nothing about them, and must drain what is there.
    """
    try:
        infos = await _infos(client)
        for info in infos:
            _check_version(str(info.get("redis_version", "0")))
            _check_policy(str(info.get("maxmemory_policy", "noeviction")))
        await _agree_on_partitions(client, settings)
        return await check_durability(client, infos[0], settings) if accepting else []
    except (rx.RedisError, rx.RedisClusterException, OSError) as error:
        raise store_error(error) from error


async def check_durability(client: AsyncClient, info: dict[str, Any], settings: Settings) -> list[str]:
    """What may surprise about DURABILITY here; raises UnsafeServer where it can never be kept. Writes nothing."""
    wait = durability_wait(settings)
    if wait is None:
        return []
    if info.get("role") == "slave":
        raise StoreUnavailable("Redis is not ready: this server is a replica")
    await _check_wait(client, info, wait)
    return _replica_warnings(info) if wait.mode == "replica" else await _fsync_warnings(client, info)


async def _check_wait(client: AsyncClient, info: dict[str, Any], wait: Wait) -> None:
    name = wait.probe[0]
    try:
        await client.execute_command(*wait.probe)
    except rx.NoPermissionError as error:
        raise UnsafeServer(f"DURABILITY={wait.mode}: the user of REDIS_URL may not call {name}: allow it") from error
    except rx.ResponseError as error:
        raise UnsafeServer(
            f"DURABILITY={wait.mode} needs {name}, which this server (Redis {info['redis_version']}) does not have: "
            "use Redis 7.2, Valkey 8 or newer, or another DURABILITY"
        ) from error


def _replica_warnings(info: dict[str, Any]) -> list[str]:
    """No refusal: a replica that is being replaced comes back, and until then gateways send again."""
    replicas = [value for name, value in info.items() if re.fullmatch(r"slave\d+", name)]
    if any(replica.get("state") == "online" for replica in replicas):
        return []
    return [
        "DURABILITY=replica, but no replica is connected to this server: until one is, no message is accepted "
        "(gateways are told to send again). Connect one, or set another DURABILITY"
    ]


async def _fsync_warnings(client: AsyncClient, info: dict[str, Any]) -> list[str]:
    if not info.get("aof_enabled"):
        raise UnsafeServer(
            "DURABILITY=disk: this server writes no append-only file; "
            "set its appendonly yes and appendfsync always, or another DURABILITY"
        )
    try:
        found = await client.config_get("*appendfsync*")
    except rx.ResponseError:
        return [
            "DURABILITY=disk: CONFIG is forbidden here, so nobody knows whether this server has appendfsync always; "
            "with anything else, 2xx may be said before the fsync"
        ]
    if found["appendfsync"] != "always":
        raise UnsafeServer(
            f"DURABILITY=disk: this server has appendfsync {found['appendfsync']}, with which it may confirm what no "
            "fsync has reached; set its appendfsync always, or another DURABILITY"
        )
    if found.get("no-appendfsync-on-rewrite") == "yes":
        return [
            "DURABILITY=disk: this server does not fsync while it rewrites its append-only file, and no message is "
            "accepted meanwhile; set its no-appendfsync-on-rewrite no"
        ]
    return []


async def _infos(client: AsyncClient) -> list[dict[str, Any]]:
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
    found = int(await client.hget(key, "partitions") or 0)
    if found != wanted:
        raise PartitionMismatch(
            f"REDIS_PARTITIONS={wanted}, but this Redis was first used with {found}: set REDIS_PARTITIONS={found}, "
            "or use another REDIS_KEY_PREFIX"
        )
