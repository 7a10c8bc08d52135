"""`debouncer health`: one exit code for container health checks, and one line when it is not 0."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys

from cli.addresses import own_address, public_url
from cli.options import settings_of
from cli.preflight import AWAY, open_client, reason
from cli.probes import why_not_ready
from config.settings import Settings, required

WITHIN_S = 4.0


def run(args: argparse.Namespace) -> int:
    """0 when healthy, else 1 with the reason on stderr; never anything else."""
    try:
        problem = _problem(args.part, settings_of(args))
    except Exception as error:
        problem = str(error) or type(error).__name__
    if problem is None:
        return 0
    print(f"{args.part} unhealthy: {' '.join(problem.split())}", file=sys.stderr)
    return 1


def _problem(part: str, settings: Settings) -> str | None:
    if part == "webhook":
        return why_not_ready(own_address(settings.host), settings.port)
    return asyncio.run(_worker_problem(settings))


async def _worker_problem(settings: Settings) -> str | None:
    # RQ takes longer to load than the webhook takes to answer.
    from worker.rq.heartbeats import fresh_hosts

    url = required(settings.queue_redis_url, "REDIS_URL")
    client = open_client(url, "RQ_REDIS_URL" if settings.rq_redis_url else "REDIS_URL")
    try:
        async with asyncio.timeout(WITHIN_S):
            hosts = await fresh_hosts(client, settings.rq_queue)
    except AWAY as error:
        return f"Redis at {public_url(url)} does not answer: {reason(error)}"
    finally:
        await client.aclose()
    host = socket.gethostname()
    return None if host in hosts else f"no worker of host {host} on queue {settings.rq_queue} reported lately"
