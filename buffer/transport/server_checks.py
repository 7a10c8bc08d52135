"""Checks of the Redis server: version, eviction, persistence, durability and the number of partitions.

`check_server()` refuses a server at its first problem. `debouncer check` prints every result of `inspect_server()`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import redis.exceptions as rx
from redis.asyncio.cluster import RedisCluster

from buffer.errors import PartitionMismatch, StoreError, StoreUnavailable, UnsafeServer, store_error
from buffer.keys import Keys
from buffer.transport.clients import AsyncClient
from buffer.transport.durability import Wait, durability_wait
from config.settings import Settings

MIN_REDIS_VERSION = (6, 2)
"""BLMOVE, LMOVE and the options of ZADD need Redis 6.2. Valkey reports 7.2 as its Redis version."""

CONFIRMED_BY = {
    "memory": "the server has the message",
    "replica": "a replica has the message, too",
    "disk": "the message is on the server's disk",
}

Info = dict[str, Any]
"""The reply of INFO from one node."""


class CheckResult(NamedTuple):
    """One line of `debouncer check`."""

    level: Literal["ok", "warning", "problem"]
    subject: str
    message: str
    error: type[StoreError] = UnsafeServer
    """The exception that a service raises for this problem."""


async def check_server(client: AsyncClient, settings: Settings, *, accepting: bool = True) -> list[str]:
    """Raise UnsafeServer, PartitionMismatch or another StoreError for the first problem, else return the warnings.

    Stores the number of partitions at the first start. With `accepting=False` (workers) DURABILITY is not checked,
    because a worker must deliver the stored messages from any server.
    """
    try:
        infos = await _node_infos(client)
        _refuse(_worst(check_version, infos))
        _refuse(_worst(check_eviction, infos))
        await _store_partitions(client, settings)
        _refuse(await check_partitions(client, settings))
        if not accepting:
            return []
        durability = await check_durability(client, infos[0], settings)
    except (rx.RedisError, rx.RedisClusterException, OSError) as error:
        raise store_error(error) from error
    _refuse(durability)
    return [durability.message] if durability.level == "warning" else []


async def inspect_server(client: AsyncClient, settings: Settings) -> list[CheckResult]:
    """Return the results of all checks without writing anything. Raises redis-py's errors."""
    infos = await _node_infos(client)
    return [
        _worst(check_version, infos),
        _worst(check_eviction, infos),
        _worst(check_persistence, infos),
        await check_durability(client, infos[0], settings),
        await check_partitions(client, settings),
    ]


def check_version(info: Info) -> CheckResult:
    """Check that the server has every command that the scripts and RQ use."""
    redis_version = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in redis_version.split(".")[:2] if part.isdigit())
    if numbers < MIN_REDIS_VERSION:
        oldest = "Redis 6.2 or Valkey 8 is the oldest that works"
        return CheckResult("problem", "version", f"REDIS_URL: this server is Redis {redis_version}; {oldest}")
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {redis_version}"
    return CheckResult("ok", "version", name)


def check_eviction(info: Info) -> CheckResult:
    """Check that a full server refuses writes instead of deleting keys."""
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        return CheckResult("ok", "memory", "maxmemory-policy noeviction")
    return CheckResult(
        "problem",
        "memory",
        f"REDIS_URL: this server evicts keys when full (maxmemory-policy {policy}), which would lose messages; "
        "set maxmemory-policy noeviction",
    )


def check_persistence(info: Info) -> CheckResult:
    """Check that the server writes an append-only file."""
    if info.get("aof_enabled"):
        return CheckResult("ok", "persistence", "appendonly yes")
    return CheckResult("warning", "persistence", "appendonly is off: a crash of the server loses its messages")


async def check_partitions(client: AsyncClient, settings: Settings) -> CheckResult:
    """Check that REDIS_PARTITIONS is the number that this Redis was first used with."""
    wanted = settings.redis_partitions
    stored = await client.hget(Keys(settings.redis_key_prefix).meta, "partitions")
    if stored is None:
        return CheckResult("ok", "partitions", f"REDIS_PARTITIONS={wanted} is fixed at the first start")
    if int(stored) == wanted:
        return CheckResult("ok", "partitions", f"{wanted}, as at the first start")
    return CheckResult(
        "problem",
        "partitions",
        f"REDIS_PARTITIONS={wanted}, but this Redis was first used with {int(stored)}: "
        f"set REDIS_PARTITIONS={int(stored)}, or use another REDIS_KEY_PREFIX",
        PartitionMismatch,
    )


async def check_durability(client: AsyncClient, info: Info, settings: Settings) -> CheckResult:
    """Check that the server can confirm messages as DURABILITY demands."""
    wait = durability_wait(settings)
    found = await _durability_problem(client, info, wait) if wait else None
    confirmed_by = CONFIRMED_BY[settings.durability]
    return found or _durability_result("ok", settings.durability, f"2xx is sent when {confirmed_by}")


async def _durability_problem(client: AsyncClient, info: Info, wait: Wait) -> CheckResult | None:
    if info.get("role") == "slave":
        # During a failover the server is a replica only for a while, so this is no reason to refuse it for good.
        return CheckResult("problem", "durability", "Redis is not ready: this server is a replica", StoreUnavailable)
    if found := await _wait_problem(client, info, wait):
        return found
    return _replica_warning(info) if wait.mode == "replica" else await _fsync_problem(client, info)


async def _wait_problem(client: AsyncClient, info: Info, wait: Wait) -> CheckResult | None:
    name = wait.probe[0]
    try:
        await client.execute_command(*wait.probe)
    except rx.NoPermissionError:
        return _durability_result("problem", wait.mode, f"the user of REDIS_URL may not call {name}: allow it")
    except rx.ResponseError:
        return CheckResult(
            "problem",
            "durability",
            f"DURABILITY={wait.mode} needs {name}, which this server (Redis {info['redis_version']}) does not have: "
            "use Redis 7.2, Valkey 8 or newer, or another DURABILITY",
        )
    return None


def _replica_warning(info: Info) -> CheckResult | None:
    """Return a warning, not a problem: a replica that is being replaced comes back."""
    replicas = [value for name, value in info.items() if re.fullmatch(r"slave\d+", name)]
    if any(replica.get("state") == "online" for replica in replicas):
        return None
    return CheckResult(
        "warning",
        "durability",
        "DURABILITY=replica, but no replica is connected to this server: until one is, no message is accepted "
        "(gateways are told to send again). Connect one, or set another DURABILITY",
    )


async def _fsync_problem(client: AsyncClient, info: Info) -> CheckResult | None:
    if not info.get("aof_enabled"):
        return _durability_result(
            "problem",
            "disk",
            "this server writes no append-only file; set its appendonly yes and appendfsync always, "
            "or another DURABILITY",
        )
    try:
        config = await client.config_get("*appendfsync*")
    except rx.ResponseError:
        return _durability_result(
            "warning",
            "disk",
            "CONFIG is forbidden here, so it is not known whether this server has appendfsync always; "
            "without it, 2xx may be sent before the fsync",
        )
    return _appendfsync_problem(config)


def _appendfsync_problem(config: Mapping[Any, Any]) -> CheckResult | None:
    if config["appendfsync"] != "always":
        return _durability_result(
            "problem",
            "disk",
            f"this server has appendfsync {config['appendfsync']}, so it may confirm messages before they are on disk; "
            "set its appendfsync always, or another DURABILITY",
        )
    if config.get("no-appendfsync-on-rewrite") == "yes":
        return _durability_result(
            "warning",
            "disk",
            "this server does not fsync while it rewrites its append-only file, and no message is accepted meanwhile; "
            "set its no-appendfsync-on-rewrite no",
        )
    return None


def _durability_result(level: Literal["ok", "warning", "problem"], mode: str, message: str) -> CheckResult:
    return CheckResult(level, "durability", f"DURABILITY={mode}: {message}")


async def _node_infos(client: AsyncClient) -> list[Info]:
    """Return the reply of INFO from the server, or from every primary of a cluster."""
    if isinstance(client, RedisCluster):
        # Without target_nodes, redis-py asks one node.
        return list((await client.info(target_nodes=RedisCluster.PRIMARIES)).values())
    return [await client.info()]


def _worst(check: Callable[[Info], CheckResult], infos: list[Info]) -> CheckResult:
    """Return the first result that is not ok, or else the first result."""
    results = [check(info) for info in infos]
    return next((result for result in results if result.level != "ok"), results[0])


def _refuse(result: CheckResult) -> None:
    if result.level == "problem":
        raise result.error(result.message)


async def _store_partitions(client: AsyncClient, settings: Settings) -> None:
    key = Keys(settings.redis_key_prefix).meta
    # A full server refuses HSETNX even if the field exists, and a worker must be able to start on it: read first.
    if not await client.hexists(key, "partitions"):
        await client.hsetnx(key, "partitions", settings.redis_partitions)
