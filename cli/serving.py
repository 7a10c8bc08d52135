"""Serves an application of aiohttp: the stand-ins for agents and gateways."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def serving(application: web.Application, listener: socket.socket, shutdown_s: float) -> AsyncIterator[None]:
    """Serve on a listening socket during a `with` block. At its end calls have `shutdown_s` to finish."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=shutdown_s)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    try:
        yield
    finally:
        await runner.cleanup()
