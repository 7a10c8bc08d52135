"""Shows in RQ's registries what the buffer holds: pending flushes as scheduled jobs, dead letters as failed jobs.

One worker of a queue does this for all, off the way of the flushes. What is shown decides nothing: a job that is run
too early, deleted or requeued changes no more than a hint does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from buffer.errors import StoreError
from buffer.operator_models import DeadLetter
from buffer.store import Store
from buffer.transport.clients import AsyncClient, pool_of
from buffer.transport.multiplexer import Multiplexer
from buffer.upcoming import soonest
from config.logs import get_logger
from worker.rq.projection import Changes, ShownJob, changes, letter_jobs, pending_jobs
from worker.rq.projection import Shown as ShownJobs
from worker.rq.queue import JobQueue
from worker.rq.scripts import script

PENDING_MAX = 500
"""Pending flushes that are shown: those that are due first."""

LETTERS_MAX = 200
"""Dead letters that are shown: the latest."""

LETTERS_PAGE = 50
FINISHED_MAX = 1000
"""Finished jobs that are shown, for all workers together."""

READ_MAX = 2000
"""Entries of a registry that are read. More than ours are there only if other programs use the queue."""

LOOK_EVERY_S = 1.0
IDLE_CHECK_S = 0.5
IDLE_CHECKS = 8
"""Looks are 4 s further apart while nothing waits and nothing is shown. The worker notices twice a second whether that
has changed, which costs no command. A look costs 11, those in scripts counted."""

LOOK_PAUSE_MAX_S = 3.0
RESTS = 10
"""Pause after a look, in multiples of its duration, so that looks take at most a tenth of the time."""

LETTERS_EVERY = 3
"""Dead letters change rarely: while anything is shown, they are read in every third look."""

LEASE_S = 6.0
"""How long a worker that died keeps the others from showing. More than a look with its pauses."""

JOBS_PER_CALL = 50

TAKEN_NOW = 2
"""What shown.lua returns first if the worker had no lease before."""

log = get_logger()


def _never() -> bool:
    return False


class Projector:
    """Keeps RQ's registries right for one queue. `name` is the worker's name.

    `is_idle` tells without a command whether no conversation waits.
    """

    def __init__(
        self,
        store: Store,
        queue: JobQueue,
        client: AsyncClient,
        name: str,
        is_idle: Callable[[], bool] = _never,
    ) -> None:
        self._store = store
        self._is_idle = is_idle
        self._queue = queue
        self._commands = Multiplexer(pool_of(client))
        self._name = name
        self._written: dict[str, ShownJob] = {}
        self._letters: list[ShownJob] = []
        self._looks = 0

    async def run(self) -> None:
        """Look and write until cancelled. Without RQ's server or the buffer's, look again later."""
        while True:
            await asyncio.sleep(await self._try_look())
            await self._rest_while_idle()

    async def _try_look(self) -> float:
        """Look. Return the seconds until the next look."""
        began = time.monotonic()
        try:
            if not await self.look():
                return LEASE_S
        except StoreError as error:
            log.debug("RQ's dashboards are not up to date", error=str(error))
        except Exception as error:  # a bug here is no reason to stop flushing
            log.error("RQ's dashboards are not up to date", error=repr(error), exc_info=error)
        return min(max(LOOK_EVERY_S, RESTS * (time.monotonic() - began)), LOOK_PAUSE_MAX_S)

    async def _rest_while_idle(self) -> None:
        """While nothing waits and this worker shows nothing, put the next look off."""
        for _ in range(IDLE_CHECKS):
            if self._written or not self._looks or not self._is_idle():
                return
            await asyncio.sleep(IDLE_CHECK_S)

    async def look(self) -> bool:
        """Show what the buffer holds now. Return False if another worker shows it. Raises StoreError."""
        shown = await self._shown(FINISHED_MAX)
        if shown is None or shown.is_first:
            self._written.clear()
            self._looks = 0
        if shown is None:
            return False
        now_ms, items = await soonest(self._store, PENDING_MAX)
        if self._looks % LETTERS_EVERY == 0 or not self._written:
            self._letters = letter_jobs(await self._latest_letters())
        self._looks += 1
        wanted = {job.job_id: job for job in [*pending_jobs(now_ms, items, shown), *self._letters]}
        await self._write(changes(wanted, shown, self._written))
        self._written = wanted
        return True

    async def clear(self) -> None:
        """Remove what a worker has shown, as soon as no worker shows anything."""
        pause_s = 0.0
        while not await self._try_clear(pause_s):
            pause_s = LEASE_S

    async def _try_clear(self, pause_s: float) -> bool:
        await asyncio.sleep(pause_s)
        with contextlib.suppress(StoreError):
            if (shown := await self._shown(0)) is not None:
                await self._write(changes({}, shown, {}))
                return True
        return False

    async def close(self) -> None:
        """Close the connection."""
        await self._commands.close()

    async def _shown(self, finished_max: int) -> ShownJobs | None:
        """Take the lease. Return what the registries show, or None if another worker has the lease."""
        args = [self._name, int(LEASE_S * 1000), finished_max, READ_MAX]
        has_lease, *found = await self._commands.call(script("shown"), self._queue.rq.key, args)
        if not has_lease:
            return None
        scheduled, ids = int(found[0]), [_text(word) for word in found[1:]]
        pairs, failed = ids[: 2 * scheduled], ids[2 * scheduled :]
        return ShownJobs(
            has_lease == TAKEN_NOW, dict(zip(pairs[::2], map(float, pairs[1::2]), strict=True)), set(failed)
        )

    async def _latest_letters(self) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        for partition in range(self._store.settings.redis_partitions):
            total = (await self._store.dead_letters(partition, 0, 0)).total
            for offset in range(max(0, total - LETTERS_MAX), total, LETTERS_PAGE):
                found += (await self._store.dead_letters(partition, offset, LETTERS_PAGE)).page
        return sorted(found, key=lambda letter: letter.died_ms)[-LETTERS_MAX:]

    async def _write(self, changes: Changes) -> None:
        """Write the changes, a few jobs at a time, so that no flush waits for them."""
        fields = {name: value for name, value in self._queue.fields.items() if name not in ("status", "created_at")}
        shared = [word for field in fields.items() for word in field]
        removed, written = iter(changes.removed), iter(changes.written)
        while True:
            gone, new = list(islice(removed, JOBS_PER_CALL)), list(islice(written, JOBS_PER_CALL))
            if not gone and not new:
                return
            await self._show(shared, gone, new)
            await asyncio.sleep(0)

    async def _show(self, shared: list[Any], gone: Sequence[tuple[str, str]], new: Sequence[ShownJob]) -> None:
        args = [self._name, len(gone), len(shared), *shared]
        args += [word for pair in gone for word in pair]
        args += [word for job in new for word in job.words()]
        await self._commands.call(script("show"), self._queue.rq.key, args)


def _text(word: bytes) -> str:
    return word.decode("utf-8", "replace")
