"""The job runner: takes jobs from RQ's queue and runs their flushes as tasks, at most `concurrency` at a time.

RQ's own workers run one job each. An agent that takes 20 s to answer would need a process for every conversation.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.models import Batch, Outcome
from config.killpoints import kill_point
from config.logs import get_logger
from worker.rq.job_ids import NewJob, letter_of_id, refs_of_id
from worker.rq.queue import Dequeued, JobQueue
from worker.rq.registries import JobStopped, NotDelivered, RegistryWriter

POP_WAIT_S = 1
"""Seconds that a pop blocks. A stop waits for the pop, which could strand a job if cancelled; a frozen server makes
it last POP_TIMEOUT_S."""

DEQUEUE_MAX = 1000
"""Conversations in one call to the queue: the number of values that a Lua script can return is limited."""

REDIS_RETRY_S = 0.5

ACKED = "acked"
REDRIVEN = "redriven"
"""The result of a job that redrove a dead letter."""

UNDELIVERED = frozenset(
    {"retry", "wait", "held", "waiting", REDRIVEN, *(outcome.value for outcome in Outcome if outcome is not Outcome.OK)}
)
"""Results of jobs in which the agent accepted no batch."""

log = get_logger()

OnBatch = Callable[[Batch], None]
FlushFunction = Callable[[Ref, OnBatch], Coroutine[Any, Any, str]]
"""Delivers the batch of one conversation, tells which it is, and returns the result as one word."""


class Work(NamedTuple):
    """What jobs do. `redrive` redrives the dead letter with this flush_id and returns the result as one word."""

    flush: FlushFunction
    redrive: Callable[[str], Awaitable[str]]


class JobRunner:
    """Runs the flushes of this process; the dispatcher enqueues through it, so that a new job can start at once."""

    def __init__(
        self,
        queue: JobQueue,
        registries: RegistryWriter,
        work: Work,
        concurrency: int,
        on_suspension: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._queue = queue
        self._registries = registries
        self._work = work
        self._concurrency = concurrency
        self._on_suspension = on_suspension
        self._slots = asyncio.Semaphore(concurrency)
        self._jobs: dict[str, set[asyncio.Task[str]]] = {}
        self._errors: dict[str, BaseException] = {}
        self._delivered_jobs: set[str] = set()
        self._stopped_jobs: set[str] = set()
        self._in_flight = 0
        self._reserved = 0
        self._room_changed = asyncio.Event()
        self._stopping = False

    @property
    def in_flight(self) -> int:
        """Conversations of the running jobs. The last job may exceed `concurrency`: its surplus waits for slots."""
        return self._in_flight

    @property
    def room(self) -> int:
        """Number of flushes that may start now; 0 after `stop`."""
        return 0 if self._stopping else max(0, self._concurrency - self._in_flight)

    @property
    def _unreserved_room(self) -> int:
        """The room without the part that running calls to the queue may fill."""
        return max(0, self.room - self._reserved)

    async def consume(self) -> None:
        """Take jobs and start their flushes until `stop`. Retries while Redis fails."""
        while not self._stopping:
            if not self._unreserved_room:
                self._room_changed.clear()
                await self._room_changed.wait()
                continue
            try:
                await self._dequeue()
            except StoreError as error:
                log.debug("no jobs: Redis is away", error=str(error))
                await asyncio.sleep(REDIS_RETRY_S)

    def stop(self) -> None:
        """Take no more jobs. Running flushes continue."""
        self._stopping = True
        self._room_changed.set()

    async def drain(self, within_s: float, force: asyncio.Event) -> None:
        """Wait for the running flushes. After `within_s`, or when `force` is set, cancel them: they release."""
        if running := self._tasks():
            all_done = asyncio.ensure_future(asyncio.wait(running))
            forced = asyncio.ensure_future(force.wait())
            await asyncio.wait((all_done, forced), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            forced.cancel()
            all_done.cancel()
        left = self._tasks()
        for task in left:
            task.cancel()
        if left:
            log.warning("flushes handed back at shutdown", count=len(left))
            await asyncio.wait(left)

    def _tasks(self) -> list[asyncio.Task[str]]:
        return [task for tasks in self._jobs.values() for task in tasks]

    def run_inline(self, ref: Ref) -> bool:
        """Start a flush that could not be enqueued. Return False if there is no room for it."""
        if not self.room:
            return False
        if f"inline-{ref}" not in self._jobs:
            self._start_tasks(f"inline-{ref}", [self._flush_in_slot(ref, _tell_nobody)])
        return True

    async def enqueue_and_dequeue(self, jobs: Sequence[NewJob]) -> None:
        """Add jobs to the queue, then start the oldest jobs of the queue, for as many conversations as were added.

        Raises StoreError. Cancelling this call may strand jobs until the wake index brings their conversations back.
        """
        await self._call_queue(jobs, min(self._unreserved_room, sum(job.size for job in jobs)))

    async def _dequeue(self) -> None:
        """Start the jobs that are in the queue. If it is empty, wait for one."""
        suspended, job_ids = await self._call_queue((), min(self._unreserved_room, DEQUEUE_MAX))
        if suspended:
            await asyncio.sleep(POP_WAIT_S)
        elif not job_ids and self._unreserved_room:
            with self._reserve(1):
                popped = await self._queue.pop(POP_WAIT_S)
            self._start_jobs(() if popped is None else (popped,))

    async def _call_queue(self, jobs: Sequence[NewJob], room: int) -> Dequeued:
        with self._reserve(room):
            dequeued = await self._queue.enqueue_and_dequeue(jobs, room)
        self._registries.suspended(dequeued.suspended)
        self._on_suspension(dequeued.suspended)
        self._start_jobs(dequeued.job_ids)
        return dequeued

    @contextlib.contextmanager
    def _reserve(self, conversations: int) -> Iterator[None]:
        """Reserve room during a call to the queue, so that two calls cannot fill the same room."""
        self._reserved += conversations
        try:
            yield
        finally:
            self._reserved -= conversations
            self._room_changed.set()

    def _start_jobs(self, job_ids: Sequence[bytes]) -> None:
        """Start every dequeued job, before any other step can fail: the jobs are no longer in the queue."""
        if job_ids:
            kill_point("worker_after_dequeue")
        for job_id in job_ids:
            self._start_job(job_id.decode("utf-8", "replace"))

    def _start_job(self, job_id: str) -> None:
        """Start the flushes of one job. Ignore an id that is running already; fail a job of another program."""
        if job_id in self._jobs:
            return
        self._registries.job_started(job_id)
        try:
            self._start_tasks(job_id, self._work_of(job_id))
        except ValueError as error:
            self._registries.job_ended(job_id, error)

    def _work_of(self, job_id: str) -> list[Coroutine[Any, Any, str]]:
        """Return what a job does. Raises ValueError for a job of another program."""
        flush_id = letter_of_id(job_id)
        if flush_id is not None:
            return [self._redrive_letter(flush_id)]
        refs = refs_of_id(job_id)
        on_batch = partial(self._registries.batch_claimed, job_id) if len(refs) == 1 else _tell_nobody
        return [self._flush_in_slot(ref, on_batch) for ref in refs]

    def _start_tasks(self, job_id: str, work: Sequence[Coroutine[Any, Any, str]]) -> None:
        tasks = self._jobs[job_id] = {asyncio.create_task(one) for one in work}
        self._in_flight += len(tasks)
        for task in tasks:
            task.add_done_callback(lambda done: self._on_flush_done(job_id, done))

    async def _redrive_letter(self, flush_id: str) -> str:
        """Redrive a dead letter, because an operator requeued its job. The flush itself gets a job of its own."""
        result = await self._work.redrive(flush_id)
        log.info("dead letter requeued in RQ", flush_id=flush_id, result=result)
        return REDRIVEN

    async def _flush_in_slot(self, ref: Ref, on_batch: OnBatch) -> str:
        """Wait for a free slot, then flush.

        Return `left` without a flush if the runner stopped during the wait: the wake index brings the conversation
        back. A flush that has a slot at once runs even then, because it counts as started.
        """
        # `locked` must be read before the semaphore is entered: afterwards nothing tells whether this flush waited.
        waited = self._slots.locked()
        async with self._slots:
            return "left" if waited and self._stopping else await self._work.flush(ref, on_batch)

    def _on_flush_done(self, job_id: str, task: asyncio.Task[str]) -> None:
        """Free the slot of one flush. The last flush of a job ends the job.

        It has failed if any flush failed, and delivered nothing if no batch was acked.
        """
        self._in_flight -= 1
        self._room_changed.set()
        error = _error_of(task)
        if isinstance(error, Exception):
            log.error("flush broke off; its conversation is due again soon", job_id=job_id, error=str(error))
            self._errors[job_id] = NotDelivered() if isinstance(error, StoreError) else error
        elif error is not None:
            self._errors.setdefault(job_id, error)
        elif task.result() == ACKED:
            self._delivered_jobs.add(job_id)
        elif task.result() in UNDELIVERED:
            self._errors.setdefault(job_id, NotDelivered())
        tasks = self._jobs[job_id]
        tasks.discard(task)
        if not tasks:
            self._end_job(job_id)

    def _end_job(self, job_id: str) -> None:
        del self._jobs[job_id]
        error = self._errors.pop(job_id, None) or (None if job_id in self._delivered_jobs else NotDelivered())
        self._delivered_jobs.discard(job_id)
        if not job_id.startswith("inline-"):
            stopped = job_id in self._stopped_jobs
            self._registries.job_ended(job_id, JobStopped("stopped on request") if stopped else error)
        self._stopped_jobs.discard(job_id)

    def is_running(self, job_id: str) -> bool:
        """Return True while a flush of the job has not ended."""
        return job_id in self._jobs

    def cancel_job(self, job_id: str) -> None:
        """Cancel the flushes of one job, as RQ's stop-job asks. They release their batches."""
        tasks = self._jobs.get(job_id, ())
        if not tasks:
            log.warning("RQ asked to stop a job that is not under way", job_id=job_id)
        else:
            self._stopped_jobs.add(job_id)
        for task in tasks:
            task.cancel()


def _tell_nobody(batch: Batch) -> None:
    pass


def _error_of(task: asyncio.Task[str]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()
