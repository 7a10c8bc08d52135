"""The Redis that a command looks at: that of REDIS_URL, or the embedded server of a running `debouncer up`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from buffer.errors import StoreError
from buffer.store import Store
from buffer.transport.clients import AsyncClient
from cli.embedded import running_server
from cli.options import load_settings_with_flags
from cli.preflight import REDIS_ERRORS, open_client
from cli.redis_errors import explain
from cli.terminal import redact_url
from config.settings import Settings, SettingsError


class Unreachable(Exception):
    """Redis cannot be used. The message says why and what to do."""


class Unknown(Exception):
    """Nothing is stored about what a command was asked for. The message says so and what to do."""


def run_on_store(args: argparse.Namespace, work: Callable[[Store, argparse.Namespace], Awaitable[int]]) -> int:
    """Run a command on the store that its flags and the settings name. Return its exit code, 1 if it cannot be done.

    Raises SettingsError.
    """
    settings = require_server(load_settings_with_flags(args))

    async def run() -> int:
        async with open_store(settings) as store:
            return await work(store, args)

    try:
        return asyncio.run(run())
    except (Unreachable, Unknown) as error:
        print(f"debouncer {args.command}: {error}", file=sys.stderr)
        return 1


def with_running_server(settings: Settings) -> Settings:
    """Return the settings with REDIS_URL, if it is not set, of the `up` that runs in DATA_DIR, else unchanged."""
    url = running_server(settings.data_dir) if settings.redis_url is None else None
    return settings if url is None else settings.model_copy(update={"redis_url": url})


def require_server(settings: Settings) -> Settings:
    """Return the settings of `with_running_server`. Raises SettingsError if they name no server."""
    found = with_running_server(settings)
    if found.redis_url is None:
        raise SettingsError(
            f"REDIS_URL is not set, and no `debouncer up` runs in DATA_DIR={settings.data_dir} "
            f"({Path(settings.data_dir).expanduser().absolute()}). Set REDIS_URL, or name the folder of the running "
            "`debouncer up`: --data-dir"
        )
    return found


async def server_ms(store: Store) -> int:
    """Return the time of the server in ms. Raises StoreError."""
    return (await store.pending(0, 0, 0))[0]


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """Connect to the Redis of `require_server`'s settings. Raises Unreachable, also for errors of the body."""
    url = settings.redis_url or ""
    store = Store(open_client(url, "REDIS_URL"), settings)
    try:
        await store.client.ping()
        yield store
    except BrokenPipeError:  # of stdout: the errors of a connection are redis-py's own
        raise
    except REDIS_ERRORS as error:
        raise Unreachable(f"REDIS_URL={redact_url(url)}: {explain(error, url)}") from None
    except StoreError as error:
        raise Unreachable(str(error)) from None
    finally:
        await store.close()


@asynccontextmanager
async def open_queue(settings: Settings) -> AsyncIterator[AsyncClient]:
    """Connect to the Redis of RQ's queue. Raises Unreachable, also for errors of the body."""
    url = settings.queue_redis_url or ""
    name = "RQ_REDIS_URL" if settings.rq_redis_url else "REDIS_URL"
    client = open_client(url, name)
    try:
        yield client
    except REDIS_ERRORS as error:
        raise Unreachable(f"{name}={redact_url(url)}: {explain(error, url)}") from None
    finally:
        await client.aclose()
