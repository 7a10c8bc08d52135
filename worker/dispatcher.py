"""The dispatcher: sleeps until the next moment of the wake index, and turns what is due into RQ jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.models import Dispatched, Due
from buffer.store import Store
from config.killpoints import reach
from config.logs import get_logger
from config.settings import Settings
from worker.rq.job_ids import NewJob, refs_of, slices_of
from worker.rq.queue import FlushQueue

SLEEP_MAX_S = 1.0
"""Longest sleep: bounds the harm of a lost announcement, and is the whole idle cost (one look a second)."""

FULL_S = 0.05
"""Pause while the queue is full or a server is away."""

EXPIRED_S = 0.02
"""After an expired timer key, a turn that began meanwhile has seen what it was about."""

LOT = 100
"""Jobs in one script call: the worker begins the first while the next are being written."""

SLICE_MAX = 16
"""Conversations in one job while more are due than the queue has room for: RQ's price is paid once for all of them."""

SLICES_MIN = 8
"""A worker's room is shared out in as many jobs at least, so that several workers get some."""

ROUNDING_S = 0.001
"""Timers may fire a millisecond early; waking just before the moment would only look twice."""

log = get_logger()


class Hands(Protocol):
    """Where flushes run: this process's own worker."""

    @property
    def room(self) -> int:
        """How many more it can hold."""

    async def hand_over(self, jobs: Sequence[NewJob]) -> None:
        """Put jobs into RQ's queue, and begin what there is room for; raises StoreError."""

    def run_inline(self, ref: Ref) -> bool:
        """Begin a flush that could not be enqueued; False when there is no room for it."""


class Dispatcher:
    """One per worker process; any number may run, each due conversation is handed out once."""

    def __init__(self, store: Store, queue: FlushQueue, settings: Settings, hands: Hands) -> None:
        self._store = store
        self._queue = queue
        self._partitions = settings.redis_partitions
        self._queue_max = 2 * settings.worker_concurrency
        self._slice = max(1, min(SLICE_MAX, settings.worker_concurrency // SLICES_MIN))
        self._hands = hands
        self._hint = asyncio.Event()
        self._turns = 0
        self._expired: asyncio.TimerHandle | None = None
        self._expired_in = 0
        self._stopping = False
        self._first = 0
        self._away = False

    def hint(self) -> None:
        """Something is due sooner than known (an announcement): look now."""
        self._hint.set()

    def expired(self) -> None:
        """A timer key has expired: as a rule its moment was known, and a turn has begun or begins at once."""
        self._expired_in = self._turns
        if self._expired is None:
            self._wait_for_turn()

    def _wait_for_turn(self) -> None:
        self._expired = asyncio.get_running_loop().call_later(EXPIRED_S, self._look_again, self._turns)

    def _look_again(self, turns: int) -> None:
        """Unless a turn has begun; the timers that expired since that turn have their own time to wait for the next."""
        self._expired = None
        if self._turns == turns:
            self.hint()
        elif self._turns == self._expired_in:
            self._wait_for_turn()

    def stop(self) -> None:
        """End `run` after its turn: what it has taken from the queue must not be stranded."""
        self._stopping = True
        self.hint()

    async def run(self) -> None:
        """Dispatch until stopped."""
        while not self._stopping:
            self._hint.clear()
            try:
                pause_s = await self.turn()
                self._away = False
            except StoreError as error:
                self._complain(error)
                pause_s = FULL_S
            await self._sleep(pause_s)

    async def turn(self) -> float:
        """Hand out what is due in every partition; returns the seconds until the next look."""
        self._turns += 1
        queued = await self._queued()
        limits = self._limits(self._room(len(queued)))
        if not limits:
            return FULL_S
        looks = (self._store.dispatch(partition, limit) for partition, limit in limits.items())
        found = await asyncio.gather(*looks, return_exceptions=True)
        looked = [one for one in found if isinstance(one, Dispatched)]
        if due := [item for one in looked for item in one.due]:
            reach("worker_after_dispatch")
            size = self._slice if any(_is_behind(one) for one in looked) else 1
            await self._hand_out([item for item in due if item.ref not in queued], size)
            reach("worker_after_enqueue")
        for one in found:
            if isinstance(one, BaseException):
                raise one
        whole = len(limits) == self._partitions
        return min(SLEEP_MAX_S if whole else FULL_S, *(_until_next(one) for one in looked))

    def _limits(self, room: int) -> dict[int, int]:
        """How many each partition may hand out: all share the room, in one round trip; every turn begins elsewhere."""
        self._first = (self._first + 1) % self._partitions
        order = [(self._first + step) % self._partitions for step in range(self._partitions)][: max(0, room)]
        return {partition: room // len(order) for partition in order}

    async def _queued(self) -> set[str]:
        """A queue whose server fails counts as empty: nobody can be expected to take what stands there."""
        try:
            return set() if self._queue.fails else await self._queue.queued()
        except StoreError as error:
            self._complain(error)
            return set()

    def _room(self, queued: int) -> int:
        """While RQ fails, what this worker cannot run itself stays in the index: elsewhere it would wait longer."""
        room = self._queue_max - queued
        return min(room, self._hands.room) if self._queue.fails else room

    async def _hand_out(self, due: Sequence[Due], size: int) -> None:
        """RQ is where work queues up, not what it depends on: without RQ this worker runs what it can hold."""
        jobs = list(slices_of(due, size))
        try:
            while jobs and not self._queue.fails:
                await self._hands.hand_over(jobs[:LOT])
                del jobs[:LOT]
        except StoreError as error:
            self._complain(error)
        for ref in (ref for job in jobs for ref in refs_of(job.name)):
            if not self._hands.run_inline(ref):
                break

    async def _sleep(self, pause_s: float) -> None:
        if pause_s <= 0:
            return
        try:
            async with asyncio.timeout(pause_s + ROUNDING_S):
                await self._hint.wait()
        except TimeoutError:
            pass

    def _complain(self, error: Exception) -> None:
        if not self._away:
            log.warning("dispatch is held up; it goes on by itself", error=str(error) or type(error).__name__)
        self._away = True


def _is_behind(found: Dispatched) -> bool:
    """Whether more was due than could be handed out."""
    return found.next_ms is not None and found.next_ms <= found.now_ms


def _until_next(found: Dispatched) -> float:
    return SLEEP_MAX_S if found.next_ms is None else max(0.0, (found.next_ms - found.now_ms) / 1000)
