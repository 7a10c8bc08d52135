"""`debouncer up`: everything on one machine, supervised: the server (when REDIS_URL is not set), worker and webhook."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from cli.addresses import display_url, own_address
from cli.banner import banner, open_gateways, webhook_url
from cli.embedded import EmbeddedServer, ServerFailed
from cli.options import load_settings_with_flags, require_agent
from cli.preflight import preflight, replica_conflict
from cli.probes import wait_until_ready
from cli.shutdown import ShutdownSignal, exit_on_signal
from cli.sockets import listen
from cli.supervisor import DEBOUNCER_COMMAND, ProcessSpec, SupervisedProcess
from cli.terminal import Colours
from config.logs import configure_logs, get_logger
from config.settings import Settings, SettingsError

READY_WITHIN_S = 10.0
MARGIN_S = 10.0
"""A child's own grace ends before ours for it."""

WEBHOOK_GRACE_S = 10.0

log = get_logger()


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; raises SettingsError, UnsafeServer or PartitionMismatch before that."""
    exit_on_signal()
    settings = load_settings_with_flags(args)
    require_agent(settings, "up")
    configure_logs(settings)
    if problem := replica_conflict(settings):
        raise SettingsError(problem)
    with listen(settings.host, settings.port) as listener:
        if settings.redis_url is not None:
            asyncio.run(preflight(settings))
        try:
            asyncio.run(_run(settings, listener))
        except ServerFailed as error:
            print(f"debouncer up: {error}", file=sys.stderr)
            return 1
    return 0


async def _run(settings: Settings, listener: socket.socket) -> None:
    """Start in the order server, worker, webhook; stop in the reverse order."""
    stop = ShutdownSignal()
    async with AsyncExitStack() as house:
        if await stop.unless(_start(settings, listener, house, stop)):
            await stop.asked.wait()
        log.info("stopping")


async def _start(settings: Settings, listener: socket.socket, house: AsyncExitStack, stop: ShutdownSignal) -> None:
    env, store = dict(os.environ), display_url(settings.redis_url or "")
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
    problem = await wait_until_ready(own_address(settings.host), settings.port, READY_WITHIN_S)
    _announce(settings, store, problem)


def _worker(settings: Settings, env: dict[str, str]) -> SupervisedProcess:
    return SupervisedProcess(
        ProcessSpec("worker", [*DEBOUNCER_COMMAND, "worker"], settings.shutdown_grace + MARGIN_S, env)
    )


def _webhook(listener: socket.socket, env: dict[str, str]) -> SupervisedProcess:
    """It inherits the socket: while it is started again, connections wait instead of being refused."""
    command = [*DEBOUNCER_COMMAND, "serve", "--fd", str(listener.fileno())]
    return SupervisedProcess(ProcessSpec("webhook", command, WEBHOOK_GRACE_S + MARGIN_S, env, fds=(listener.fileno(),)))


def _announce(settings: Settings, store: str, problem: str | None) -> None:
    if problem is not None:
        log.warning("up, but messages cannot be stored yet", why=problem)
    if sys.stdout.isatty():
        print("\n".join(["", *_painted(banner(settings, store)), ""]), flush=True)
        return
    urls = [webhook_url(settings, name) for name in open_gateways(settings)]
    log.info("debouncer is up", webhooks=urls, agent=display_url(settings.agent_url or ""), store=store)


def _painted(lines: list[str]) -> list[str]:
    return [Colours(sys.stdout)(lines[0], "bold"), *lines[1:]]
