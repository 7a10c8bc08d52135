"""Asks a webhook whether it can store messages."""

from __future__ import annotations

import asyncio
import http.client
import json

ANSWER_WITHIN_S = 4.0
LOOK_EVERY_S = 0.1


def readiness_problem(host: str, port: int) -> str | None:
    """Why the webhook at this address cannot store messages; None when it can."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"the webhook at {host}:{port} does not answer: {error or type(error).__name__}"
    finally:
        connection.close()
    return None if response.status == 200 else _detail(response.status, body)


def _detail(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the webhook answered {status} to /readyz"


async def wait_until_ready(host: str, port: int, within_s: float) -> str | None:
    """Wait for a webhook that is starting; returns what is still in the way after `within_s`, or None."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while True:
        problem = await asyncio.to_thread(readiness_problem, host, port)
        if problem is None or loop.time() >= until:
            return problem
        await asyncio.sleep(LOOK_EVERY_S)
