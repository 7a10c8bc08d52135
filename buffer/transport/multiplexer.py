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
from buffer.transport.connection import Hears, Link

UNKNOWN = "NOSCRIPT"
NOT_THE_ONE = re.compile(r"(^|-)(LOADING|MASTERDOWN|READONLY)\b")
"""The server is not, or no longer, the one to ask: a new connection may find its successor (Sentinel, a moved name)."""

CLOSED = rx.ConnectionError("the client was closed")
LOST = rx.ConnectionError("the connection was lost as soon as it was open")


class Line:
    """Runs scripts by their SHA; a server that does not know one (restart, SCRIPT FLUSH) gets its source."""

    def __init__(self, pool: ConnectionPool, timeout_s: float | None = None) -> None:
        self._pool = pool
        self._timeout_s: float = timeout_s or pool.connection_kwargs["socket_timeout"]
        self._link: Link | None = None
        self._queued: list[tuple[bytes, Hears[Any]]] = []
        self._opening: asyncio.Task[None] | None = None

    async def call(self, script: Script, root: str, args: list[Any]) -> Any:
        """Run one script; raises StoreUnavailable, StoreFull or StoreError."""
        try:
            return await self.command("EVALSHA", script.sha, 1, root, *args)
        except StoreError as error:
            if not str(error.__cause__).startswith(UNKNOWN):
                raise
        return await self.command("EVAL", script.source, 1, root, *args)

    async def command(self, *command: Any) -> Any:
        """Run one command; raises StoreUnavailable, StoreFull or StoreError."""
        try:
            return await self._ask(*command)
        except (rx.RedisError, OSError, TypeError, UnicodeError) as error:
            if NOT_THE_ONE.search(str(error)) and self._link is not None:
                self._link.drop(error)
            raise store_error(error) from error

    def send(self, script: Script, root: str, args: list[Any], reply: Hears[Any]) -> bool:
        """Write a call now, if the connection is open; the server's errors are told as they are, NOSCRIPT too."""
        if self._link is None:
            return False
        self._link.send(hiredis.pack_command(("EVALSHA", script.sha, 1, root, *args)), reply)
        return True

    def _ask(self, *command: Any) -> asyncio.Future[Any]:
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        packed = hiredis.pack_command(command)
        if self._link is not None:
            self._link.send(packed, reply)
        else:
            self._queued.append((packed, reply))
            self._open()
        return reply

    def _open(self) -> None:
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect())
            self._opening.add_done_callback(self._opened)

    async def _connect(self) -> None:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        self._link = Link(connection, self._timeout_s, self._forget)

    def _opened(self, opening: asyncio.Task[None]) -> None:
        """What was asked meanwhile goes out, or fails, together."""
        self._opening = None
        problem = CLOSED if opening.cancelled() else opening.exception() or LOST
        queued, self._queued = self._queued, []
        for packed, reply in queued:
            if self._link is not None:
                self._link.send(packed, reply)
            elif not reply.done():
                reply.set_exception(store_error(problem))

    def _forget(self) -> None:
        self._link = None

    async def close(self) -> None:
        """Close the connection; what was not answered fails."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._link is not None:
            self._link.drop(CLOSED)
