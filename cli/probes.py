"""Asks the webhook whether it can store messages."""

from __future__ import annotations

import asyncio
import http.client
import json

RESPONSE_TIMEOUT_S = 4.0
RETRY_EVERY_S = 0.1


def readiness_problem(host: str, port: int) -> str | None:
    """Return why the webhook at this address cannot store messages, or None if it can."""
    connection = http.client.HTTPConnection(host, port, timeout=RESPONSE_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"the webhook at {host}:{port} does not respond: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return None if response.status == 200 else _detail(response.status, body)


def _detail(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the webhook responded {status} to /readyz"


async def wait_until_ready(host: str, port: int, within_s: float) -> str | None:
    """Wait until the webhook can store messages. Return the remaining problem after `within_s`, or None."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while True:
        problem = await asyncio.to_thread(readiness_problem, host, port)
        if problem is None or loop.time() >= until:
            return problem
        await asyncio.sleep(RETRY_EVERY_S)
