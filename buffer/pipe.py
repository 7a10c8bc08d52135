"""Sends the script calls of one loop turn together, in one pipeline on one connection."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import redis.exceptions as rx

from buffer.connect import AsyncClient
from buffer.errors import StoreError, StoreFull, StoreUnavailable
from buffer.scripts import Script

IN_FLIGHT_MAX = 4
"""Pipelines under way at once: enough to keep the server busy, few enough that calls gather meanwhile."""

TURN_MAX = 500
"""Calls in one pipeline at the most, so that one reply does not hold up the loop."""

AWAY = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF", "UNBLOCKED")
"""Error codes of a server that will serve again: restarting, failing over, or unable to persist."""


class _Call(NamedTuple):
    script: Script
    root: str
    args: list[Any]
    reply: asyncio.Future[Any]


def store_error(error: Exception) -> StoreError:
    """Say what a redis-py error means for whoever called the store."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, rx.OutOfMemoryError) or "OOM command not allowed" in str(error):
        return StoreFull()
    if isinstance(error, rx.ConnectionError | rx.TimeoutError | OSError | TimeoutError):
        return StoreUnavailable(f"Redis cannot be reached: {error}" if str(error) else None)
    if isinstance(error, rx.ClusterError) or str(error).startswith(AWAY):
        return StoreUnavailable(f"Redis is not ready: {error}")
    return StoreError(f"Redis refused a command: {error}")


class Pipe:
    """Runs scripts by their SHA; a server that does not know one (restart, SCRIPT FLUSH) gets its source."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._waiting: list[_Call] = []
        self._senders: set[asyncio.Task[None]] = set()

    async def call(self, script: Script, root: str, args: list[Any]) -> Any:
        """Run one script; raises StoreUnavailable, StoreFull or StoreError."""
        reply = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(script, root, args, reply))
        if len(self._senders) < IN_FLIGHT_MAX:
            sender = asyncio.create_task(self._send_all())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await reply

    async def _send_all(self) -> None:
        while self._waiting:
            calls, self._waiting = self._waiting[:TURN_MAX], self._waiting[TURN_MAX:]
            try:
                await self._send(calls)
            except Exception as error:
                _refuse(calls, error)
            except asyncio.CancelledError:
                _refuse(calls, StoreUnavailable("the client was closed"))
                raise

    async def _send(self, calls: list[_Call]) -> None:
        unknown = await self._execute(calls, by_source=False)
        if unknown:
            await self._execute(unknown, by_source=True)

    async def _execute(self, calls: list[_Call], *, by_source: bool) -> list[_Call]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            if by_source:
                pipeline.eval(call.script.source, 1, call.root, *call.args)
            else:
                pipeline.evalsha(call.script.sha, 1, call.root, *call.args)
        unknown = []
        for call, reply in zip(calls, await pipeline.execute(raise_on_error=False), strict=True):
            if isinstance(reply, rx.NoScriptError):
                unknown.append(call)
            elif call.reply.done():
                continue
            elif isinstance(reply, Exception):
                call.reply.set_exception(store_error(reply))
            else:
                call.reply.set_result(reply)
        return unknown


def _refuse(calls: list[_Call], error: Exception) -> None:
    for call in calls:
        if not call.reply.done():
            call.reply.set_exception(store_error(error))
