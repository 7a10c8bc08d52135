"""The checks of `debouncer check`: the server, what it holds, RQ's queue, the agent and the gateways.

They write nothing and make no call to the agent.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import redis.exceptions as rx
from pydantic import SecretStr

from buffer.errors import StoreError
from buffer.owner_store import Owners
from buffer.store import Store
from buffer.transport.clients import AsyncClient
from buffer.transport.server_checks import CheckResult, inspect_server
from cli.agent_check import check_agent
from cli.banner import NO_GATEWAY, open_gateways
from cli.embedded import server_program
from cli.overview import Overview, overview_of
from cli.preflight import REDIS_ERRORS, open_client, replica_conflict
from cli.redis_errors import explain
from cli.target import with_running_server
from cli.terminal import count_of, redact_url
from config.routes import Routes
from config.settings import Settings, spelling_warnings
from worker.expiry_listener import merged_flags
from worker.rq.heartbeats import live_worker_hosts
from worker.rq.suspension import is_suspended

EXAMPLE_SECRET = "choose-a-secret"  # noqa: S105 - the opposite of a secret
"""What the README writes in the place of a secret."""


async def run_checks(settings: Settings, routes: Routes) -> list[CheckResult]:
    """Return all results. Raises SettingsError for a Redis URL that cannot be read."""
    found = with_running_server(settings)
    return [
        *[CheckResult("warning", "settings", text) for text in spelling_warnings(known=routes.names)],
        *await _server(settings, found),
        *await _queue(found),
        *[await asyncio.to_thread(check_agent, url) for url in _agents(routes)],
        _gateways(settings),
        *_known_secrets(settings),
    ]


def _agents(routes: Routes) -> list[str | None]:
    """Return the address of each agent once; None if an enabled route has none."""
    return list(dict.fromkeys(route.settings.agent_url for route in routes.all() if route.enabled))


async def _server(settings: Settings, found: Settings) -> list[CheckResult]:
    """Check REDIS_URL, or the embedded server, which `found` names if it runs."""
    conflict = replica_conflict(settings)
    problems = [CheckResult("problem", "durability", conflict)] if conflict else []
    url = found.redis_url
    if url is None:
        return [_no_server(settings), *problems]
    client = open_client(url, "REDIS_URL")
    store = Store(client, found)
    try:
        await client.ping()
        overview = await _overview(store)
        if settings.redis_url is None:
            return [_embedded(settings, overview), *_contents(overview), *problems]
        results = await inspect_server(client, found)
        first = CheckResult("ok", "Redis", f"{redact_url(url)} replies")
        return [first, *results, await _events(client), *_contents(overview), *await _owners(store)]
    except REDIS_ERRORS as error:
        return [CheckResult("problem", "Redis", f"REDIS_URL={redact_url(url)}: {explain(error, url)}")]
    finally:
        await store.close()


def _no_server(settings: Settings) -> CheckResult:
    server_program()
    text = f"embedded Valkey in {_folder(settings)}: not running; `debouncer up` starts it"
    return CheckResult("ok", "Redis", f"{text} (`serve` and `worker` need REDIS_URL)")


def _embedded(settings: Settings, overview: Overview | None) -> CheckResult:
    text = f"embedded Valkey in {_folder(settings)}: running"
    if overview is None:
        return CheckResult("warning", "Redis", f"{text}, but what waits there cannot be read")
    return CheckResult("ok", "Redis", f"{text}, {overview.waiting + overview.in_flight} waiting, {overview.dead} dead")


def _folder(settings: Settings) -> str:
    return f"{Path(settings.data_dir)}/"


async def _overview(store: Store) -> Overview | None:
    """Return the waiting counts, or None if they cannot be read. The other checks say why."""
    try:
        return await overview_of(store)
    except StoreError:
        return None


def _contents(overview: Overview | None) -> list[CheckResult]:
    """Return a warning for dead letters, parts in doubt, held channels and agents, and overdue conversations."""
    results = []
    if overview is not None and overview.dead:
        text = f"{overview.dead_text()}; `debouncer dead` lists them, `debouncer dead retry --all` sends them again"
        results.append(CheckResult("warning", "dead", text))
    if overview is not None and overview.doubts:
        text = f"{overview.doubt_text()}; `debouncer doubt` lists them, and sends them again or drops them"
        results.append(CheckResult("warning", "in doubt", text))
    if overview is not None:
        results += [CheckResult("warning", "held", text) for text in overview.held_texts()]
        results += [CheckResult("warning", "agent", text) for text in overview.agent_texts()]
    if overview is not None and overview.overdue:
        text = f"{overview.due_text()}: is a worker running? `debouncer status` shows more"
        results.append(CheckResult("warning", "overdue", text))
    return results


async def _owners(store: Store) -> list[CheckResult]:
    try:
        conflict = await Owners(store).conflict()
    except StoreError:
        return []
    return [CheckResult("warning", "deployment", conflict)] if conflict else []


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
    """Check RQ's queue on the Redis of RQ_REDIS_URL or REDIS_URL: that it replies, and that it is not suspended."""
    url, name = settings.queue_redis_url, "RQ_REDIS_URL" if settings.rq_redis_url else "REDIS_URL"
    if url is None:
        return []
    if url.startswith("redis+cluster"):
        message = "RQ_REDIS_URL is not set, and RQ cannot work on the cluster of REDIS_URL; name a single server"
        return [CheckResult("problem", "queue", message)]
    client = open_client(url, name)
    try:
        suspended, hosts = await is_suspended(client), await live_worker_hosts(client, settings.rq_queue)
    except REDIS_ERRORS as error:
        # Without RQ_REDIS_URL, the server is checked already.
        text = f"RQ_REDIS_URL={redact_url(url)}: {explain(error, url)}"
        return [CheckResult("problem", "queue", text)] if settings.rq_redis_url else []
    finally:
        await client.aclose()
    if suspended:
        text = f"suspended (`rq suspend`): no burst goes out until `rq resume --url {redact_url(url)}`"
        return [CheckResult("warning", "queue", text)]
    where = f"{redact_url(url)} replies, " if settings.rq_redis_url else ""
    return [CheckResult("ok", "queue", f"{where}{count_of(len(hosts), 'worker')} alive on {settings.rq_queue}")]


def _gateways(settings: Settings) -> CheckResult:
    names = open_gateways(settings)
    if settings.webhook_allow_unsigned:
        return CheckResult(
            "warning", "gateways", "WEBHOOK_ALLOW_UNSIGNED=true: anyone who reaches the port can post messages"
        )
    if not names:
        return CheckResult("problem", "gateways", NO_GATEWAY)
    return CheckResult("ok", "gateways", f"{', '.join(names)} open")


def _known_secrets(settings: Settings) -> list[CheckResult]:
    """Warn once of secrets that are the example value of the README."""
    names = [
        f"{name.upper()}={EXAMPLE_SECRET}"
        for name in type(settings).model_fields
        if isinstance(value := getattr(settings, name), SecretStr) and value.get_secret_value() == EXAMPLE_SECRET
    ]
    advice = (
        "is an example value of the README, which everybody can read: replace it, here and at the gateway, "
        "with a secret of your own (`openssl rand -hex 24` makes one)"
    )
    return [CheckResult("warning", "secrets", f"{', '.join(names)} {advice}")] if names else []
