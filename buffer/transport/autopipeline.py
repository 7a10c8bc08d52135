"""Sends the script calls of one loop turn together, in one pipeline on one connection."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import redis.exceptions as rx

from buffer.errors import StoreUnavailable, store_error
from buffer.scripts import Script
from buffer.transport.clients import AsyncClient
from buffer.transport.durability import DURABLE_SCRIPTS, Wait

PIPELINES_IN_FLIGHT_MAX = 4
"""Pipelines under way at once: enough to keep the server busy, few enough that calls gather meanwhile."""

PIPELINE_MAX_CALLS = 500
"""Calls in one pipeline at the most, so that one reply does not hold up the loop."""


class _Call(NamedTuple):
    script: Script
    root: str
    args: list[Any]
    reply: asyncio.Future[Any]


class AutoPipeline:
    """Runs scripts by their SHA; a server that does not know one (restart, SCRIPT FLUSH) gets its source.

    With a `wait`, the calls of `DURABLE_SCRIPTS` in one pipeline share it, and fail together when it does not confirm.
    """

    def __init__(self, client: AsyncClient, wait: Wait | None = None) -> None:
        self._client = client
        self._wait = wait
        self._waiting: list[_Call] = []
        self._sending = 0
        self._senders: set[asyncio.Task[None]] = set()

    async def call(self, script: Script, root: str, args: list[Any]) -> Any:
        """Run one script; raises StoreUnavailable, StoreFull or StoreError."""
        reply = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(script, root, args, reply))
        if self._sending < PIPELINES_IN_FLIGHT_MAX:
            self._sending += 1
            sender = asyncio.create_task(self._send_all())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await reply

    async def _send_all(self) -> None:
        """The count goes down in the same step that finds nothing waiting: no call falls between the two."""
        try:
            while self._waiting:
                await self._send_pipeline()
        finally:
            self._sending -= 1

    async def _send_pipeline(self) -> None:
        calls, self._waiting = self._waiting[:PIPELINE_MAX_CALLS], self._waiting[PIPELINE_MAX_CALLS:]
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
        unknown = []
        for call, reply in zip(calls, await self._replies(calls, by_source=by_source), strict=True):
            if isinstance(reply, rx.NoScriptError):
                unknown.append(call)
            elif call.reply.done():
                continue
            elif isinstance(reply, Exception):
                call.reply.set_exception(store_error(reply))
            else:
                call.reply.set_result(reply)
        return unknown

    async def _replies(self, calls: list[_Call], *, by_source: bool) -> list[Any]:
        """One reply or error per call; a lone call that waits for nothing needs no pipeline."""
        wait = self._wait
        if wait is not None and not any(call.script.verb in DURABLE_SCRIPTS for call in calls):
            wait = None
        if len(calls) == 1 and wait is None:
            try:
                return [await self._client.execute_command(*_command(calls[0], by_source=by_source))]
            except rx.ResponseError as error:
                return [error]
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command(*_command(call, by_source=by_source))
        if wait is None:
            return list(await pipeline.execute(raise_on_error=False))
        pipeline.execute_command(*wait.command)
        *replies, confirmation = await pipeline.execute(raise_on_error=False)
        problem = wait.problem(confirmation)
        return replies if problem is None else _unconfirmed(calls, replies, problem)


def _command(call: _Call, *, by_source: bool) -> tuple[Any, ...]:
    if by_source:
        return ("EVAL", call.script.source, 1, call.root, *call.args)
    return ("EVALSHA", call.script.sha, 1, call.root, *call.args)


def _unconfirmed(calls: list[_Call], replies: list[Any], problem: StoreUnavailable) -> list[Any]:
    """A script that failed keeps its own error: the server may only need its source."""
    return [
        problem if call.script.verb in DURABLE_SCRIPTS and not isinstance(reply, Exception) else reply
        for call, reply in zip(calls, replies, strict=True)
    ]


def _refuse(calls: list[_Call], error: Exception) -> None:
    for call in calls:
        if not call.reply.done():
            call.reply.set_exception(store_error(error))
