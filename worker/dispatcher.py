"""The dispatcher: sleeps until the next deadline in the wake index and makes RQ jobs of the due conversations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.models import Dispatched, Due
from buffer.store import Store
from config.killpoints import kill_point
from config.logs import get_logger
from config.settings import Settings
from worker.expired_timers import ExpiredTimers
from worker.outage import Outage
from worker.rq.job_ids import group_into_jobs, refs_of_argument
from worker.rq.queue import JobQueue
from worker.rq.runner import JobRunner
from worker.server_clock import ServerClock

SLEEP_MAX_S = 1.0
"""Longest sleep between two passes. It bounds the delay after a lost announcement, and one pass a second is the whole
cost of an idle worker."""

RETRY_S = 0.05
"""Sleep while the queue is full or a server is away."""

EXPIRY_DELAY_S = 0.02
"""Delay between an expired timer key and the pass that it causes. A pass that starts within the delay has already read
that deadline."""

JOBS_PER_CALL = 100
"""Jobs in one call to the queue. The worker starts the first ones while the next are written."""

GROUP_MAX = 16
"""Conversations in one job while more are due than the queue has room for. RQ's cost for a job is paid once a group."""

GROUPS_MIN = 8
"""The least number of jobs that a worker's concurrency is divided into, so that several workers get a share."""

ROUNDING_S = 0.001
"""Added to each sleep. A timer may fire 1 ms early, and a pass just before the deadline would be a pass for nothing."""


log = get_logger()


async def _renew_nothing() -> None:
    pass


class Dispatcher:
    """Dispatches due conversations. Each worker process has one; the wake index gives a conversation to one of them."""

    def __init__(
        self,
        store: Store,
        queue: JobQueue,
        settings: Settings,
        runner: JobRunner,
        renew_leases: Callable[[], Awaitable[None]] = _renew_nothing,
    ) -> None:
        self._store = store
        self._queue = queue
        self._partitions = settings.redis_partitions
        self._queue_max = 2 * settings.worker_concurrency
        self._group_size = max(1, min(GROUP_MAX, settings.worker_concurrency // GROUPS_MIN))
        self._runner = runner
        self._renew_leases = renew_leases
        self._lease_s = settings.flush_lease
        self._step_max_s = settings.flush_renew_interval
        self._clock = ServerClock()
        self._no_takeover_until = 0.0
        self._timers = ExpiredTimers(store, settings, self.wake)
        self._wake = asyncio.Event()
        self._passes = 0
        self._expiry_timer: asyncio.TimerHandle | None = None
        self._pass_at_last_expiry = 0
        self._stopping = False
        self._is_idle = False
        self._first_partition = 0
        self._outage = Outage("dispatch is held up; it goes on by itself", "dispatch goes on")
        self._rq_outage = Outage("RQ's queue is away; flushes start without it", "RQ's queue is back")

    def wake(self) -> None:
        """Start a pass now. Called for an announcement that a deadline became nearer."""
        self._wake.set()

    def timer_expired(self, ref: Ref | None = None) -> None:
        """Start a pass soon, unless one starts before. Called for an expired timer key, whose deadline may be known.

        `ref` is the conversation of the key. If its wake entry is lost, it is put back.
        """
        if ref is not None:
            self._timers.expired(ref)
        self._pass_at_last_expiry = self._passes
        if self._expiry_timer is None:
            self._arm_expiry_timer()

    def _arm_expiry_timer(self) -> None:
        self._expiry_timer = asyncio.get_running_loop().call_later(EXPIRY_DELAY_S, self._after_expiry, self._passes)

    def _after_expiry(self, passes: int) -> None:
        """Wake the dispatcher if no pass has started since the delay was armed.

        If a timer expired after the latest pass started, arm the delay again.
        """
        self._expiry_timer = None
        if self._passes == passes:
            self.wake()
        elif self._passes == self._pass_at_last_expiry:
            self._arm_expiry_timer()

    def is_idle(self) -> bool:
        """Return True if the latest pass found the wake index of every partition empty."""
        return self._is_idle

    def stop(self) -> None:
        """End `run` after the current pass. Cancelling a pass could strand the jobs that it takes from the queue."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Dispatch until `stop`."""
        while not self._stopping:
            self._wake.clear()
            try:
                pause_s = await self.dispatch_due()
                self._outage.works()
            except StoreError as error:
                self._outage.fails(error)
                pause_s = RETRY_S
            await self._sleep(pause_s)

    async def dispatch_due(self) -> float:
        """Run one pass: dispatch the due conversations of every partition. Return the seconds until the next pass."""
        self._passes += 1
        queued = await self._queued()
        limits = self._limits(self._room(len(queued)))
        if not limits:
            self._is_idle = False
            return RETRY_S
        asked_at = asyncio.get_running_loop().time()
        calls = (self._store.dispatch(partition, limit) for partition, limit in limits.items())
        found = await asyncio.gather(*calls, return_exceptions=True)
        dispatched = [one for one in found if isinstance(one, Dispatched)]
        self._is_idle = len(dispatched) == self._partitions and all(one.next_ms is None for one in dispatched)
        await self._note_clocks(dict(zip(limits, found, strict=True)), asked_at)
        due = await self._without_leases([item for one in dispatched for item in one.due])
        if due:
            self._timers.dispatched(item.ref for item in due)
            kill_point("worker_after_dispatch")
            size = self._group_size if any(_is_behind(one) for one in dispatched) else 1
            await self._enqueue([item for item in due if item.ref not in queued], size)
            kill_point("worker_after_enqueue")
        for one in found:
            if isinstance(one, BaseException):
                raise one
        complete = len(limits) == self._partitions
        return min(SLEEP_MAX_S if complete else RETRY_S, *(_seconds_until_next(one) for one in dispatched))

    async def _note_clocks(self, found: Mapping[int, Dispatched | BaseException], asked_at: float) -> None:
        """If a server's clock went forward, renew the leases first, and take none over for the time of a lease.

        The step ended all leases by the server's clock. Their workers are alive and notice it within a pass.
        """
        now = asyncio.get_running_loop().time()
        replies = {partition: one for partition, one in found.items() if isinstance(one, Dispatched)}
        steps = [self._clock.step_s(partition, one.now_ms, asked_at, now) for partition, one in replies.items()]
        step_s = max(steps, default=0.0)
        if step_s > self._step_max_s:
            log.warning("the clock of the Redis server went forward; no lease is taken over for a while", by_s=step_s)
            self._no_takeover_until = now + self._lease_s
            # Also for what is in the queue already, and for workers that start only now.
            await asyncio.gather(*(self._store.hold_takeovers(partition) for partition in replies))
            await self._renew_leases()

    async def _without_leases(self, due: list[Due]) -> list[Due]:
        """After a step of the clock, leave out the conversations with a lease. They are due again soon."""
        if not due or asyncio.get_running_loop().time() >= self._no_takeover_until:
            return due
        leased = await self._store.leased([item.ref for item in due])
        return [item for item in due if item.ref not in leased]

    def _limits(self, room: int) -> dict[int, int]:
        """Share the room among the partitions. Return how many conversations each may dispatch."""
        # Each pass begins with another partition: with less room than partitions, the last ones would never be served.
        self._first_partition = (self._first_partition + 1) % self._partitions
        order = [(self._first_partition + step) % self._partitions for step in range(self._partitions)][: max(0, room)]
        return {partition: room // len(order) for partition in order}

    async def _queued(self) -> set[Ref]:
        """Return the conversations that have a job in RQ's queue.

        Empty while RQ's server fails, because no worker can take those jobs.
        """
        if self._queue.fails:
            self._rq_outage.lasts()
            return set()
        try:
            queued = await self._queue.queued()
        except StoreError as error:
            self._rq_outage.fails(error)
            return set()
        self._rq_outage.works()
        return queued

    def _room(self, queued: int) -> int:
        """Return how many conversations to dispatch.

        While RQ fails, only as many as this worker can run: a dispatched conversation that cannot be enqueued is
        hidden for VISIBILITY_TIME.
        """
        room = self._queue_max - queued
        return min(room, self._runner.room) if self._queue.fails else room

    async def _enqueue(self, due: Sequence[Due], size: int) -> None:
        """Enqueue jobs of up to `size` conversations. Flush here those that RQ did not take, as far as there is room.

        RQ holds the waiting work, but flushes do not depend on it.
        """
        jobs = list(group_into_jobs(due, size))
        try:
            while jobs and not self._queue.fails:
                await self._runner.enqueue_and_dequeue(jobs[:JOBS_PER_CALL])
                del jobs[:JOBS_PER_CALL]
        except StoreError as error:
            self._rq_outage.fails(error)
        for ref in (ref for job in jobs for ref in refs_of_argument(job.argument)):
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


def _is_behind(found: Dispatched) -> bool:
    """Return True if more conversations were due than the limit of the call."""
    return found.next_ms is not None and found.next_ms <= found.now_ms


def _seconds_until_next(found: Dispatched) -> float:
    return SLEEP_MAX_S if found.next_ms is None else max(0.0, (found.next_ms - found.now_ms) / 1000)
