"""Sends the script calls of one loop iteration in one pipeline: the transport for clusters and for DURABILITY."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import redis.exceptions as rx

from buffer.errors import StoreUnavailable, store_error
from buffer.scripts import Script
from buffer.transport.clients import AsyncClient
from buffer.transport.durability import DURABLE_SCRIPTS, Wait
from buffer.transport.send_queue import SendQueue, fail_all

PIPELINES_IN_FLIGHT_MAX = 4
"""Pipelines under way at once: enough to keep the server busy, few enough that calls share a pipeline."""

PIPELINE_MAX_CALLS = 500
"""Calls in one pipeline at most, so that reading its replies does not block the event loop for long."""


class _Call(NamedTuple):
    script: Script
    root: str
    args: list[Any]
    reply: asyncio.Future[Any]


class AutoPipeline:
    """Runs scripts by their SHA, and by their source on a server that has not loaded them (restart, SCRIPT FLUSH).

    With a `wait`, a pipeline ends with its command. If that does not confirm, the calls of `DURABLE_SCRIPTS` in the
    pipeline fail.
    """

    def __init__(self, client: AsyncClient, wait: Wait | None = None) -> None:
        self._client = client
        self._wait = wait
        self._queue = SendQueue(self._send_pipeline, calls_max=PIPELINE_MAX_CALLS, senders_max=PIPELINES_IN_FLIGHT_MAX)

    async def call(self, script: Script, root: str, args: list[Any]) -> Any:
        """Run one script. Raises StoreUnavailable, StoreFull or StoreError."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.add(_Call(script, root, args, reply))
        return await reply

    async def _send_pipeline(self, calls: list[_Call]) -> None:
        try:
            if unknown := await self._execute(calls, by_source=False):
                await self._execute(unknown, by_source=True)
        except Exception as error:
            fail_all((call.reply for call in calls), error)
        except asyncio.CancelledError:
            fail_all((call.reply for call in calls), StoreUnavailable("the client was closed"))
            raise

    async def _execute(self, calls: list[_Call], *, by_source: bool) -> list[_Call]:
        """Execute the calls and set their replies. Returns the calls whose script the server has not loaded."""
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
        """Return one reply or error per call. A lone call without a wait is sent without a pipeline."""
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
        failure = wait.failure(confirmation)
        return replies if failure is None else _with_failure(calls, replies, failure)


def _command(call: _Call, *, by_source: bool) -> tuple[Any, ...]:
    if by_source:
        return ("EVAL", call.script.source, 1, call.root, *call.args)
    return ("EVALSHA", call.script.sha, 1, call.root, *call.args)


def _with_failure(calls: list[_Call], replies: list[Any], failure: StoreUnavailable) -> list[Any]:
    """Replace the replies of durable scripts by `failure`. An error stays: NoScriptError must be seen by `_execute`."""
    return [
        failure if call.script.verb in DURABLE_SCRIPTS and not isinstance(reply, Exception) else reply
        for call, reply in zip(calls, replies, strict=True)
    ]
