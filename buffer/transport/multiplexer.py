"""Runs scripts and commands over one connection that is opened when it is needed, and again when it was lost."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import hiredis
import redis.exceptions as rx
from redis.asyncio.connection import AbstractConnection, ConnectionPool

from buffer.errors import StoreError, store_error
from buffer.scripts import Script
from buffer.transport.connection import PipelinedConnection, ReplyReceiver

NO_SCRIPT = "NOSCRIPT"
WRONG_SERVER_ERRORS = re.compile(r"(^|-)(LOADING|MASTERDOWN|READONLY)\b")
"""The server is not, or no longer, the one to ask: a new connection may find its successor (Sentinel, a moved name)."""

CLOSED = rx.ConnectionError("the client was closed")
LOST = rx.ConnectionError("the connection was lost as soon as it was open")


class Multiplexer:
    """Runs scripts by their SHA; a server that does not know one (restart, SCRIPT FLUSH) gets its source."""

    def __init__(self, pool: ConnectionPool, timeout_s: float | None = None) -> None:
        self._pool = pool
        self._timeout_s: float = timeout_s or pool.connection_kwargs["socket_timeout"]
        self._connection: PipelinedConnection | None = None
        self._unsent: list[tuple[bytes, ReplyReceiver[Any]]] = []
        self._opening: asyncio.Task[None] | None = None

    async def call(self, script: Script, root: str, args: list[Any]) -> Any:
        """Run one script; raises StoreUnavailable, StoreFull or StoreError."""
        try:
            return await self.command("EVALSHA", script.sha, 1, root, *args)
        except StoreError as error:
            if not str(error.__cause__).startswith(NO_SCRIPT):
                raise
        return await self.command("EVAL", script.source, 1, root, *args)

    async def command(self, *command: Any) -> Any:
        """Run one command; raises StoreUnavailable, StoreFull or StoreError."""
        try:
            return await self._submit(*command)
        except (rx.RedisError, OSError, TypeError, UnicodeError) as error:
            if WRONG_SERVER_ERRORS.search(str(error)) and self._connection is not None:
                self._connection.abort(error)
            raise store_error(error) from error

    def send(self, script: Script, root: str, args: list[Any], reply: ReplyReceiver[Any]) -> bool:
        """Write a call now, if the connection is open; the server's errors are told as they are, NOSCRIPT too."""
        if self._connection is None:
            return False
        self._connection.send(hiredis.pack_command(("EVALSHA", script.sha, 1, root, *args)), reply)
        return True

    def _submit(self, *command: Any) -> asyncio.Future[Any]:
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        packed = hiredis.pack_command(command)
        if self._connection is not None:
            self._connection.send(packed, reply)
        else:
            self._unsent.append((packed, reply))
            self._start_connecting()
        return reply

    def _start_connecting(self) -> None:
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect())
            self._opening.add_done_callback(self._on_connected)

    async def _connect(self) -> None:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        self._connection = PipelinedConnection(connection, self._timeout_s, self._on_connection_lost)

    def _on_connected(self, opening: asyncio.Task[None]) -> None:
        """What was asked meanwhile goes out, or fails, together."""
        self._opening = None
        problem = CLOSED if opening.cancelled() else opening.exception() or LOST
        queued, self._unsent = self._unsent, []
        for packed, reply in queued:
            if self._connection is not None:
                self._connection.send(packed, reply)
            elif not reply.done():
                reply.set_exception(store_error(problem))

    def _on_connection_lost(self) -> None:
        self._connection = None

    async def close(self) -> None:
        """Close the connection; what was not answered fails."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._connection is not None:
            self._connection.abort(CLOSED)
