"""What `debouncer check` finds out: the server, the queue, the agent and the gateways. Nothing is written."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import redis.exceptions as rx

from buffer.errors import StoreUnavailable, UnsafeServer
from buffer.keys import Keys
from buffer.transport.clients import AsyncClient
from buffer.transport.server_checks import OLDEST, check_durability
from cli.addresses import display_url
from cli.banner import open_gateways
from cli.embedded import server_program
from cli.preflight import REDIS_ERRORS, open_client, reason, replica_conflict
from config.settings import Settings
from worker.expiry_listener import merged_flags

AGENT_WITHIN_S = 3.0

WHERE = {
    "memory": "the server has the message",
    "replica": "a replica has the message, too",
    "disk": "the message is on the server's disk",
}


class CheckResult(NamedTuple):
    """One line of the check: how bad, about what, and a sentence."""

    level: Literal["ok", "warning", "problem"]
    subject: str
    sentence: str


async def run_checks(settings: Settings) -> list[CheckResult]:
    """Everything, in the order in which it matters; raises SettingsError for an address without sense."""
    return [
        *await _server(settings),
        *await _queue(settings),
        await _agent(settings),
        _gateways(settings),
    ]


async def _server(settings: Settings) -> list[CheckResult]:
    if settings.redis_url is None:
        return [_embedded(settings), *_lone(settings)]
    client = open_client(settings.redis_url, "REDIS_URL")
    try:
        info = await client.info()
        return [
            CheckResult("ok", "Redis", f"{display_url(settings.redis_url)} answers"),
            *_fitness(_one_node(info)),
            *await _durability(client, _one_node(info), settings),
            await _partitions(client, settings),
            await _events(client),
        ]
    except REDIS_ERRORS as error:
        return [CheckResult("problem", "Redis", f"REDIS_URL={display_url(settings.redis_url)}: {reason(error)}")]
    finally:
        await client.aclose()


def _embedded(settings: Settings) -> CheckResult:
    server_program()
    return CheckResult(
        "warning",
        "Redis",
        "REDIS_URL is not set: `serve` and `worker` need it; "
        f"`up` starts a server of its own in DATA_DIR={settings.data_dir}",
    )


def _lone(settings: Settings) -> list[CheckResult]:
    problem = replica_conflict(settings)
    return [CheckResult("problem", "durability", problem)] if problem else []


def _one_node(info: dict[str, Any]) -> dict[str, Any]:
    """A cluster answers once per node; they run the same version under the same rules."""
    return info if "redis_version" in info else next(iter(info.values()))


def _fitness(info: dict[str, Any]) -> list[CheckResult]:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version", info["redis_version"]))
    fit = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2]) >= OLDEST
    policy = str(info.get("maxmemory_policy", "noeviction"))
    safe, saved = policy == "noeviction", bool(info.get("aof_enabled"))
    return [
        CheckResult("ok", "version", f"{name} {version}")
        if fit
        else CheckResult("problem", "version", f"{name} {version}; Redis 6.2 or Valkey 8 is the oldest that works"),
        CheckResult("ok", "memory", "maxmemory-policy noeviction")
        if safe
        else CheckResult("problem", "memory", f"maxmemory-policy {policy} would lose messages; set it to noeviction"),
        CheckResult("ok", "persistence", "appendonly yes")
        if saved
        else CheckResult("warning", "persistence", "appendonly is off: a crash of the server loses what it holds"),
    ]


async def _durability(client: AsyncClient, info: dict[str, Any], settings: Settings) -> list[CheckResult]:
    subject = "durability"
    try:
        warnings = await check_durability(client, info, settings)
    except (UnsafeServer, StoreUnavailable) as error:
        return [CheckResult("problem", subject, str(error))]
    if warnings:
        return [CheckResult("warning", subject, warning) for warning in warnings]
    return [
        CheckResult("ok", subject, f"DURABILITY={settings.durability}: 2xx is said when {WHERE[settings.durability]}")
    ]


async def _partitions(client: AsyncClient, settings: Settings) -> CheckResult:
    wanted, prefix = settings.redis_partitions, settings.redis_key_prefix
    found = await client.hget(Keys(prefix).meta, "partitions")
    if found is None:
        return CheckResult("ok", "partitions", f"REDIS_PARTITIONS={wanted} is fixed at the first start")
    if int(found) != wanted:
        sentence = f"REDIS_PARTITIONS={wanted}, but this Redis was first used with {int(found)}: set that"
        return CheckResult("problem", "partitions", f"{sentence}, or another REDIS_KEY_PREFIX than {prefix}")
    return CheckResult("ok", "partitions", f"{wanted}, as at the first start")


async def _events(client: AsyncClient) -> CheckResult:
    subject = "events"
    try:
        flags = str((await client.config_get("notify-keyspace-events")).get("notify-keyspace-events", ""))
    except (rx.ResponseError, rx.NoPermissionError):
        return CheckResult(
            "warning", subject, "CONFIG is forbidden here; bursts are still flushed on time, without events"
        )
    if merged_flags(flags) == flags:
        return CheckResult("ok", subject, f"notify-keyspace-events {flags}")
    return CheckResult("ok", subject, f"notify-keyspace-events is {flags or 'off'}; the worker adds what it wants")


async def _queue(settings: Settings) -> list[CheckResult]:
    url = settings.rq_redis_url
    if url is None:
        cluster = (settings.redis_url or "").startswith("redis+cluster")
        sentence = "RQ_REDIS_URL is not set, and RQ cannot work on the cluster of REDIS_URL; name a single server"
        return [CheckResult("problem", "queue", sentence)] if cluster else []
    client = open_client(url, "RQ_REDIS_URL")
    try:
        await client.ping()
    except REDIS_ERRORS as error:
        return [CheckResult("problem", "queue", f"RQ_REDIS_URL={display_url(url)}: {reason(error)}")]
    finally:
        await client.aclose()
    return [CheckResult("ok", "queue", f"{display_url(url)} answers")]


async def _agent(settings: Settings) -> CheckResult:
    if settings.agent_url is None:
        return CheckResult("problem", "agent", "AGENT_URL is not set: it is the address that bursts are sent to")
    parts = urlsplit(settings.agent_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(AGENT_WITHIN_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError) as error:
        sentence = f"{parts.hostname}:{port} cannot be reached ({error or 'no answer'}); bursts will wait for it"
        return CheckResult("warning", "agent", sentence)
    writer.close()
    return CheckResult("ok", "agent", f"{parts.hostname}:{port} accepts connections (no request was made)")


def _gateways(settings: Settings) -> CheckResult:
    names = open_gateways(settings)
    if settings.webhook_allow_unsigned:
        return CheckResult(
            "warning", "gateways", "WEBHOOK_ALLOW_UNSIGNED=true: whoever reaches the port can post messages"
        )
    if not names:
        return CheckResult("warning", "gateways", "none is open: set EVOLUTION_TOKEN, GENERIC_TOKEN or another secret")
    return CheckResult("ok", "gateways", f"{', '.join(names)} open")
