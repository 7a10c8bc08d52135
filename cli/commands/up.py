"""`debouncer up`: runs and supervises the worker, the webhook and, if REDIS_URL is not set, a server."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from cli.banner import NO_GATEWAY, banner, open_gateways, webhook_url
from cli.embedded import EmbeddedServer, ServerFailed
from cli.options import load_settings_with_flags, require_agent
from cli.preflight import preflight, replica_conflict
from cli.probes import wait_until_ready
from cli.shutdown import ShutdownSignal, exit_on_signal
from cli.sockets import bind_listener, own_address
from cli.supervisor import DEBOUNCER_COMMAND, ProcessSpec, SupervisedProcess
from cli.target import with_running_server
from cli.terminal import Colours, redact_url
from cli.waiting import tell_stopping, tell_waiting_at_end, tell_waiting_at_start
from config.logs import configure_logs, get_logger
from config.settings import Settings, SettingsError
from config.spelling_log import warn_of_spelling

READY_WITHIN_S = 10.0
MARGIN_S = 10.0
"""Time between the end of a child's own grace and the second SIGTERM."""

WEBHOOK_GRACE_S = 10.0

log = get_logger()


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT. Raises SettingsError, UnsafeServer or PartitionMismatch at the start."""
    exit_on_signal()
    settings = load_settings_with_flags(args)
    require_agent(settings, "up")
    configure_logs(settings)
    warn_of_spelling()
    if not open_gateways(settings):
        log.warning(NO_GATEWAY)
    if problem := replica_conflict(settings):
        raise SettingsError(problem)
    with bind_listener(settings.host, settings.port) as listener:
        if settings.redis_url is not None:
            asyncio.run(preflight(settings))
        try:
            asyncio.run(_run(settings, listener))
        except ServerFailed as error:
            print(f"debouncer up: {error}", file=sys.stderr)
            return 1
    return 0


async def _run(settings: Settings, listener: socket.socket) -> None:
    """Start in the order server, worker, webhook, and stop in the reverse order."""
    shutdown = ShutdownSignal()
    async with AsyncExitStack() as stack:
        if await shutdown.run_until_shutdown(_start(settings, listener, stack, shutdown)):
            await shutdown.requested.wait()
            await tell_stopping(with_running_server(settings))
        else:
            log.info("stopping")


async def _start(settings: Settings, listener: socket.socket, stack: AsyncExitStack, shutdown: ShutdownSignal) -> None:
    env, store = dict(os.environ), redact_url(settings.redis_url or "")
    if settings.redis_url is None:
        appendfsync = "always" if settings.durability == "disk" else "everysec"
        server = EmbeddedServer(Path(settings.data_dir), appendfsync)
        stack.callback(server.close)
        stack.push_async_callback(server.stop, shutdown.forced)
        await server.start()
        env["REDIS_URL"], store = server.url, f"{server.folder} (embedded Valkey, append-only file)"
    found = with_running_server(settings)
    await tell_waiting_at_start(found)
    # Runs after the worker has stopped and before the server stops.
    stack.push_async_callback(tell_waiting_at_end, found, settings.data_dir if settings.redis_url is None else None)
    for child in (_worker(settings, env), _webhook(listener, env)):
        stack.push_async_callback(child.stop, shutdown.forced)
        await child.start()
    # Closed before the webhook stops: a new connection is then refused instead of waiting for a response.
    stack.callback(listener.close)
    problem = await wait_until_ready(own_address(settings.host), settings.port, READY_WITHIN_S)
    _announce(settings, store, problem)


def _worker(settings: Settings, env: dict[str, str]) -> SupervisedProcess:
    return SupervisedProcess(
        ProcessSpec("worker", [*DEBOUNCER_COMMAND, "worker"], settings.shutdown_grace + MARGIN_S, env)
    )


def _webhook(listener: socket.socket, env: dict[str, str]) -> SupervisedProcess:
    """Return the webhook process. It inherits the listener, so connections wait while it is restarted."""
    command = [*DEBOUNCER_COMMAND, "serve", "--fd", str(listener.fileno())]
    return SupervisedProcess(ProcessSpec("webhook", command, WEBHOOK_GRACE_S + MARGIN_S, env, fds=(listener.fileno(),)))


def _announce(settings: Settings, store: str, problem: str | None) -> None:
    if problem is not None:
        log.warning("up, but messages cannot be stored yet", why=problem)
    if sys.stdout.isatty():
        print("\n".join(["", *_painted(banner(settings, store)), ""]), flush=True)
        return
    urls = [webhook_url(settings, name) for name in open_gateways(settings)]
    log.info("debouncer is up", webhooks=urls, agent=redact_url(settings.agent_url or ""), store=store)


def _painted(lines: list[str]) -> list[str]:
    return [Colours(sys.stdout)(lines[0], "bold"), *lines[1:]]
