"""Logs `rq suspend` and `rq resume`, once each, with the number of conversations that wait."""

from __future__ import annotations

import asyncio

from buffer.errors import StoreError
from buffer.store import Store
from config.logs import get_logger

log = get_logger()


class SuspensionLog:
    """Logs the changes that the job runner sees in RQ's queue."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_suspended = False
        self._logging: asyncio.Task[None] | None = None

    def note(self, is_suspended: bool) -> None:
        """Note whether RQ is suspended now. Called for each look at the queue."""
        if is_suspended != self._is_suspended:
            self._is_suspended = is_suspended
            self._logging = asyncio.create_task(self._log(is_suspended))

    async def _log(self, is_suspended: bool) -> None:
        waiting = await self._count_waiting()
        number = "conversations" if waiting is None else f"{waiting} conversation{'' if waiting == 1 else 's'}"
        if is_suspended:
            log.warning(f"RQ is suspended: no flush starts; {number} waiting; `rq resume` ends it", waiting=waiting)
        else:
            log.info(f"RQ is resumed: flushes start again; {number} waiting", waiting=waiting)

    async def _count_waiting(self) -> int | None:
        """Return the number of conversations in the wake index. Return None if Redis fails."""
        try:
            reports = [await self._store.snapshot(one, 0) for one in range(self._store.settings.redis_partitions)]
        except StoreError:
            return None
        return sum(int(report["pending"]) for report in reports)
