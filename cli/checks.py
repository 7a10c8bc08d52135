"""The checks of `debouncer check`: the server, RQ's queue, the agent and the gateways. They write nothing."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import redis.exceptions as rx

from buffer.transport.clients import AsyncClient
from buffer.transport.server_checks import CheckResult, inspect_server
from cli.banner import open_gateways
from cli.embedded import server_program
from cli.preflight import REDIS_ERRORS, error_text, open_client, replica_conflict
from cli.terminal import redact_url
from config.settings import Settings
from worker.expiry_listener import merged_flags

AGENT_TIMEOUT_S = 3.0


async def run_checks(settings: Settings) -> list[CheckResult]:
    """Return all results. Raises SettingsError for a Redis URL that cannot be read."""
    return [
        *await _server(settings),
        *await _queue(settings),
        await _agent(settings),
        _gateways(settings),
    ]


async def _server(settings: Settings) -> list[CheckResult]:
    if settings.redis_url is None:
        return _embedded(settings)
    client = open_client(settings.redis_url, "REDIS_URL")
    try:
        results = await inspect_server(client, settings)
        return [
            CheckResult("ok", "Redis", f"{redact_url(settings.redis_url)} replies"),
            *results,
            await _events(client),
        ]
    except REDIS_ERRORS as error:
        return [CheckResult("problem", "Redis", f"REDIS_URL={redact_url(settings.redis_url)}: {error_text(error)}")]
    finally:
        await client.aclose()


def _embedded(settings: Settings) -> list[CheckResult]:
    server_program()
    found = CheckResult(
        "warning",
        "Redis",
        "REDIS_URL is not set: `serve` and `worker` need it; "
        f"`up` starts a server of its own in DATA_DIR={settings.data_dir}",
    )
    conflict = replica_conflict(settings)
    return [found, CheckResult("problem", "durability", conflict)] if conflict else [found]


async def _events(client: AsyncClient) -> CheckResult:
    """Check for the expiry events that the worker uses as hints. Bursts are flushed on time without them."""
    try:
        flags = str((await client.config_get("notify-keyspace-events")).get("notify-keyspace-events", ""))
    except (rx.ResponseError, rx.NoPermissionError):
        return CheckResult(
            "warning", "events", "CONFIG is forbidden here; bursts are still flushed on time, without events"
        )
    if merged_flags(flags) == flags:
        return CheckResult("ok", "events", f"notify-keyspace-events {flags}")
    return CheckResult("ok", "events", f"notify-keyspace-events is {flags or 'off'}; the worker adds the missing flags")


async def _queue(settings: Settings) -> list[CheckResult]:
    """Check the Redis of RQ_REDIS_URL. Without it, the queue is on the server that is checked already."""
    url = settings.rq_redis_url
    if url is None:
        cluster = (settings.redis_url or "").startswith("redis+cluster")
        message = "RQ_REDIS_URL is not set, and RQ cannot work on the cluster of REDIS_URL; name a single server"
        return [CheckResult("problem", "queue", message)] if cluster else []
    client = open_client(url, "RQ_REDIS_URL")
    try:
        await client.ping()
    except REDIS_ERRORS as error:
        return [CheckResult("problem", "queue", f"RQ_REDIS_URL={redact_url(url)}: {error_text(error)}")]
    finally:
        await client.aclose()
    return [CheckResult("ok", "queue", f"{redact_url(url)} replies")]


async def _agent(settings: Settings) -> CheckResult:
    """Check that the agent's port accepts a connection. An agent that is away is a warning: bursts wait for it."""
    if settings.agent_url is None:
        return CheckResult("problem", "agent", "AGENT_URL is not set: it is the address that bursts are sent to")
    parts = urlsplit(settings.agent_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(AGENT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError) as error:
        reason = str(error) or f"no connection within {AGENT_TIMEOUT_S:g} s"
        return CheckResult(
            "warning", "agent", f"{parts.hostname}:{port} cannot be reached ({reason}); bursts will wait for it"
        )
    writer.close()
    return CheckResult("ok", "agent", f"{parts.hostname}:{port} accepts connections (no request was made)")


def _gateways(settings: Settings) -> CheckResult:
    names = open_gateways(settings)
    if settings.webhook_allow_unsigned:
        return CheckResult(
            "warning", "gateways", "WEBHOOK_ALLOW_UNSIGNED=true: anyone who reaches the port can post messages"
        )
    if not names:
        return CheckResult("warning", "gateways", "none is open: set EVOLUTION_TOKEN, GENERIC_TOKEN or another secret")
    return CheckResult("ok", "gateways", f"{', '.join(names)} open")
