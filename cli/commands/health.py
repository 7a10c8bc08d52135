"""`debouncer health`: an exit code for container health checks, and one line of text if it is not 0."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys

from cli.options import load_settings_with_flags
from cli.probes import readiness_problem
from cli.sockets import own_address
from config.settings import Settings

REPLY_TIMEOUT_S = 4.0


def run(args: argparse.Namespace) -> int:
    """Return 0 if healthy, else print the reason to stderr and return 1. Raises nothing."""
    try:
        problem = _problem(args.part, load_settings_with_flags(args))
    except Exception as error:
        problem = str(error) or type(error).__name__
    if problem is None:
        return 0
    print(f"{args.part} unhealthy: {' '.join(problem.split())}", file=sys.stderr)
    return 1


def _problem(part: str, settings: Settings) -> str | None:
    if part == "webhook":
        return readiness_problem(own_address(settings.host), settings.port)
    return asyncio.run(_worker_problem(settings))


async def _worker_problem(settings: Settings) -> str | None:
    # Imported here because importing RQ takes longer than the whole health check of the webhook.
    from cli.target import Unreachable, open_queue, require_server
    from worker.rq.heartbeats import live_worker_hosts

    settings = require_server(settings)
    try:
        async with asyncio.timeout(REPLY_TIMEOUT_S), open_queue(settings) as client:
            hosts = await live_worker_hosts(client, settings.rq_queue)
    except Unreachable as error:
        return str(error)
    host = socket.gethostname()
    if host in hosts:
        return None
    return f"no worker of host {host} on queue {settings.rq_queue} has reported within the last minute"
