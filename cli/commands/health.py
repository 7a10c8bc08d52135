"""`debouncer health`: one exit code for container health checks, and one line when it is not 0."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys

from cli.addresses import display_url, own_address
from cli.options import load_settings_with_flags
from cli.preflight import REDIS_ERRORS, open_client, reason
from cli.probes import readiness_problem
from config.settings import Settings, require

WITHIN_S = 4.0


def run(args: argparse.Namespace) -> int:
    """0 when healthy, else 1 with the reason on stderr; never anything else."""
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
    # RQ takes longer to load than the webhook takes to answer.
    from worker.rq.heartbeats import live_worker_hosts

    url = require(settings.queue_redis_url, "REDIS_URL")
    client = open_client(url, "RQ_REDIS_URL" if settings.rq_redis_url else "REDIS_URL")
    try:
        async with asyncio.timeout(WITHIN_S):
            hosts = await live_worker_hosts(client, settings.rq_queue)
    except REDIS_ERRORS as error:
        return f"Redis at {display_url(url)} does not answer: {reason(error)}"
    finally:
        await client.aclose()
    host = socket.gethostname()
    return None if host in hosts else f"no worker of host {host} on queue {settings.rq_queue} reported lately"
