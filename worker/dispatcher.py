"""The dispatcher: sleeps until the next moment of the wake index, and turns what is due into RQ jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.models import Dispatched, Due
from buffer.store import Store
from config.killpoints import kill_point
from config.logs import get_logger
from config.settings import Settings
from worker.rq.job_ids import NewJob, group_into_jobs, refs_of_argument
from worker.rq.queue import JobQueue

SLEEP_MAX_S = 1.0
"""Longest sleep: bounds the harm of a lost announcement, and is the whole idle cost (one look a second)."""

FULL_S = 0.05
"""Pause while the queue is full or a server is away."""

EXPIRY_DELAY_S = 0.02
"""After an expired timer key, a turn that began meanwhile has seen what it was about."""

JOBS_PER_CALL = 100
"""Jobs in one script call: the worker begins the first while the next are being written."""

GROUP_MAX = 16
"""Conversations in one job while more are due than the queue has room for: RQ's price is paid once for all of them."""

GROUPS_MIN = 8
"""A worker's room is shared out in as many jobs at least, so that several workers get some."""

ROUNDING_S = 0.001
"""Timers may fire a millisecond early; waking just before the moment would only look twice."""

log = get_logger()


class JobRunner(Protocol):
    """Where flushes run: this process's own worker."""

    @property
    def room(self) -> int:
        """How many more it can hold."""

    async def enqueue_and_dequeue(self, jobs: Sequence[NewJob]) -> None:
        """Put jobs into RQ's queue, and begin what there is room for; raises StoreError."""

    def run_inline(self, ref: Ref) -> bool:
        """Begin a flush that could not be enqueued; False when there is no room for it."""


class Dispatcher:
    """One per worker process; any number may run, each due conversation is handed out once."""

    def __init__(self, store: Store, queue: JobQueue, settings: Settings, runner: JobRunner) -> None:
        self._store = store
        self._queue = queue
        self._partitions = settings.redis_partitions
        self._queue_max = 2 * settings.worker_concurrency
        self._group_size = max(1, min(GROUP_MAX, settings.worker_concurrency // GROUPS_MIN))
        self._runner = runner
        self._wake = asyncio.Event()
        self._passes = 0
        self._expiry_timer: asyncio.TimerHandle | None = None
        self._pass_at_last_expiry = 0
        self._stopping = False
        self._first_partition = 0
        self._away = False

    def wake(self) -> None:
        """Something is due sooner than known (an announcement): look now."""
        self._wake.set()

    def timer_expired(self) -> None:
        """A timer key has expired: as a rule its moment was known, and a turn has begun or begins at once."""
        self._pass_at_last_expiry = self._passes
        if self._expiry_timer is None:
            self._arm_expiry_timer()

    def _arm_expiry_timer(self) -> None:
        self._expiry_timer = asyncio.get_running_loop().call_later(EXPIRY_DELAY_S, self._after_expiry, self._passes)

    def _after_expiry(self, turns: int) -> None:
        """Unless a turn has begun; the timers that expired since that turn have their own time to wait for the next."""
        self._expiry_timer = None
        if self._passes == turns:
            self.wake()
        elif self._passes == self._pass_at_last_expiry:
            self._arm_expiry_timer()

    def stop(self) -> None:
        """End `run` after its turn: what it has taken from the queue must not be stranded."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Dispatch until stopped."""
        while not self._stopping:
            self._wake.clear()
            try:
                pause_s = await self.dispatch_due()
                self._away = False
            except StoreError as error:
                self._log_failure(error)
                pause_s = FULL_S
            await self._sleep(pause_s)

    async def dispatch_due(self) -> float:
        """Hand out what is due in every partition; returns the seconds until the next look."""
        self._passes += 1
        queued = await self._queued()
        limits = self._limits(self._room(len(queued)))
        if not limits:
            return FULL_S
        calls = (self._store.dispatch(partition, limit) for partition, limit in limits.items())
        found = await asyncio.gather(*calls, return_exceptions=True)
        dispatched = [one for one in found if isinstance(one, Dispatched)]
        if due := [item for one in dispatched for item in one.due]:
            kill_point("worker_after_dispatch")
            size = self._group_size if any(_is_behind(one) for one in dispatched) else 1
            await self._hand_out([item for item in due if item.ref not in queued], size)
            kill_point("worker_after_enqueue")
        for one in found:
            if isinstance(one, BaseException):
                raise one
        whole = len(limits) == self._partitions
        return min(SLEEP_MAX_S if whole else FULL_S, *(_seconds_until_next(one) for one in dispatched))

    def _limits(self, room: int) -> dict[int, int]:
        """How many each partition may hand out: all share the room, in one round trip; every turn begins elsewhere."""
        self._first_partition = (self._first_partition + 1) % self._partitions
        order = [(self._first_partition + step) % self._partitions for step in range(self._partitions)][: max(0, room)]
        return {partition: room // len(order) for partition in order}

    async def _queued(self) -> set[Ref]:
        """A queue whose server fails counts as empty: nobody can be expected to take what stands there."""
        try:
            return set() if self._queue.fails else await self._queue.queued()
        except StoreError as error:
            self._log_failure(error)
            return set()

    def _room(self, queued: int) -> int:
        """While RQ fails, what this worker cannot run itself stays in the index: elsewhere it would wait longer."""
        room = self._queue_max - queued
        return min(room, self._runner.room) if self._queue.fails else room

    async def _hand_out(self, due: Sequence[Due], size: int) -> None:
        """RQ is where work queues up, not what it depends on: without RQ this worker runs what it can hold."""
        jobs = list(group_into_jobs(due, size))
        try:
            while jobs and not self._queue.fails:
                await self._runner.enqueue_and_dequeue(jobs[:JOBS_PER_CALL])
                del jobs[:JOBS_PER_CALL]
        except StoreError as error:
            self._log_failure(error)
        for ref in (ref for job in jobs for ref in refs_of_argument(job.name)):
            if not self._runner.run_inline(ref):
                break

    async def _sleep(self, pause_s: float) -> None:
        if pause_s <= 0:
            return
        try:
            async with asyncio.timeout(pause_s + ROUNDING_S):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _log_failure(self, error: Exception) -> None:
        if not self._away:
            log.warning("dispatch is held up; it goes on by itself", error=str(error) or type(error).__name__)
        self._away = True


def _is_behind(found: Dispatched) -> bool:
    """Whether more was due than could be handed out."""
    return found.next_ms is not None and found.next_ms <= found.now_ms


def _seconds_until_next(found: Dispatched) -> float:
    return SLEEP_MAX_S if found.next_ms is None else max(0.0, (found.next_ms - found.now_ms) / 1000)
