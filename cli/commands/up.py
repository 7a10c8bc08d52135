"""`debouncer up`: everything on one machine, supervised: the server (when REDIS_URL is not set), worker and webhook."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from cli.addresses import own_address, public_url
from cli.banner import open_gateways, webhook_url, welcome
from cli.embedded import EmbeddedServer, ServerFailed
from cli.options import require_agent, settings_of
from cli.preflight import refuse_unfit, why_no_replica
from cli.probes import until_ready
from cli.shutdown import Stop, leave_when_asked
from cli.sockets import listen
from cli.supervisor import OURSELVES, Child, Plan
from cli.terminal import Paint
from config.logs import configure_logs, get_logger
from config.settings import Settings, SettingsError

READY_WITHIN_S = 10.0
MARGIN_S = 10.0
"""A child's own grace ends before ours for it."""

WEBHOOK_GRACE_S = 10.0

log = get_logger()


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; raises SettingsError, UnsafeServer or PartitionMismatch before that."""
    leave_when_asked()
    settings = settings_of(args)
    require_agent(settings, "up")
    configure_logs(settings)
    if problem := why_no_replica(settings):
        raise SettingsError(problem)
    with listen(settings.host, settings.port) as listener:
        if settings.redis_url is not None:
            asyncio.run(refuse_unfit(settings))
        try:
            asyncio.run(_run(settings, listener))
        except ServerFailed as error:
            print(f"debouncer up: {error}", file=sys.stderr)
            return 1
    return 0


async def _run(settings: Settings, listener: socket.socket) -> None:
    """Start in the order server, worker, webhook; stop in the reverse order."""
    stop = Stop()
    async with AsyncExitStack() as house:
        if await stop.unless(_start(settings, listener, house, stop)):
            await stop.asked.wait()
        log.info("stopping")


async def _start(settings: Settings, listener: socket.socket, house: AsyncExitStack, stop: Stop) -> None:
    env, store = dict(os.environ), public_url(settings.redis_url or "")
    if settings.redis_url is None:
        appendfsync = "always" if settings.durability == "disk" else "everysec"
        server = EmbeddedServer(Path(settings.data_dir), appendfsync)
        house.callback(server.close)
        house.push_async_callback(server.stop, stop.hurry)
        await server.start()
        env["REDIS_URL"], store = server.url, f"{server.folder} (embedded Valkey, append-only file)"
    for child in (_worker(settings, env), _webhook(listener, env)):
        house.push_async_callback(child.stop, stop.hurry)
        await child.start()
    # Before the webhook stops: a connection that nobody will accept is better refused than left waiting.
    house.callback(listener.close)
    problem = await until_ready(own_address(settings.host), settings.port, READY_WITHIN_S)
    _announce(settings, store, problem)


def _worker(settings: Settings, env: dict[str, str]) -> Child:
    return Child(Plan("worker", [*OURSELVES, "worker"], settings.shutdown_grace + MARGIN_S, env))


def _webhook(listener: socket.socket, env: dict[str, str]) -> Child:
    """It inherits the socket: while it is started again, connections wait instead of being refused."""
    command = [*OURSELVES, "serve", "--fd", str(listener.fileno())]
    return Child(Plan("webhook", command, WEBHOOK_GRACE_S + MARGIN_S, env, fds=(listener.fileno(),)))


def _announce(settings: Settings, store: str, problem: str | None) -> None:
    if problem is not None:
        log.warning("up, but messages cannot be stored yet", why=problem)
    if sys.stdout.isatty():
        print("\n".join(["", *_painted(welcome(settings, store)), ""]), flush=True)
        return
    urls = [webhook_url(settings, name) for name in open_gateways(settings)]
    log.info("debouncer is up", webhooks=urls, agent=public_url(settings.agent_url or ""), store=store)


def _painted(lines: list[str]) -> list[str]:
    return [Paint(sys.stdout)(lines[0], "bold"), *lines[1:]]
