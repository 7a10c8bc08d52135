"""Runs scripts and commands over one connection, which is opened at the first command and again after a loss."""

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
"""Errors of a replica or a loading server. A new connection may reach its successor (Sentinel, a changed DNS name)."""

CLOSED = rx.ConnectionError("the client was closed")
LOST = rx.ConnectionError("the connection was lost as soon as it was open")


class Multiplexer:
    """Runs scripts by their SHA, and by their source on a server that has not loaded them (restart, SCRIPT FLUSH).

    `timeout_s` is the time for a reply, by default the timeout of the pool.
    """

    def __init__(self, pool: ConnectionPool, timeout_s: float | None = None) -> None:
        self._pool = pool
        self._timeout_s: float = timeout_s or pool.connection_kwargs["socket_timeout"]
        self._connection: PipelinedConnection | None = None
        self._unsent: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._connecting: asyncio.Task[None] | None = None

    async def call(self, script: Script, root: str, args: list[Any]) -> Any:
        """Run one script. Raises StoreUnavailable, StoreFull or StoreError."""
        try:
            return await self.command("EVALSHA", script.sha, 1, root, *args)
        except StoreError as error:
            if not str(error.__cause__).startswith(NO_SCRIPT):
                raise
        return await self.command("EVAL", script.source, 1, root, *args)

    async def command(self, *command: Any) -> Any:
        """Run one command. Raises StoreUnavailable, StoreFull or StoreError."""
        try:
            return await self._submit(*command)
        # hiredis raises TypeError for an argument that is no text, bytes or number, and UnicodeError for text with lone
        # surrogates. Nothing was sent then, so only this command fails: with a StoreError, as if Redis had refused it.
        except (rx.RedisError, OSError, TypeError, UnicodeError) as error:
            if WRONG_SERVER_ERRORS.search(str(error)) and self._connection is not None:
                self._connection.abort(error)
            raise store_error(error) from error

    def send(self, script: Script, root: str, args: list[Any], receiver: ReplyReceiver[Any]) -> bool:
        """Write a script call at once. Returns False if no connection is open.

        `receiver` gets the server's errors as they are, NOSCRIPT too.
        """
        if self._connection is None:
            return False
        self._connection.send(hiredis.pack_command(("EVALSHA", script.sha, 1, root, *args)), receiver)
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
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._on_connected)

    async def _connect(self) -> None:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        self._connection = PipelinedConnection(connection, self._timeout_s, self._on_connection_lost)

    def _on_connected(self, connecting: asyncio.Task[None]) -> None:
        """Send the commands that waited for the connection, or fail them all if it could not be opened."""
        self._connecting = None
        error = CLOSED if connecting.cancelled() else connecting.exception() or LOST
        unsent, self._unsent = self._unsent, []
        for packed, reply in unsent:
            if self._connection is not None:
                self._connection.send(packed, reply)
            elif not reply.done():
                reply.set_exception(store_error(error))

    def _on_connection_lost(self) -> None:
        self._connection = None

    async def close(self) -> None:
        """Close the connection. Commands without a reply fail."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._connection is not None:
            self._connection.abort(CLOSED)
