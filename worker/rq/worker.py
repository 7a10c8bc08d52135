"""The RQ worker class that holds many flush jobs on one event loop.

RQ's own workers hold one job each; an agent that thinks for 20 s would need a process per conversation. Written
against RQ 3.0: what it leans on is named in tests/unit/test_rq_contract.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

import redis
from rq import Queue
from rq.command import parse_payload
from rq.registry import clean_registries
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import BaseWorker
from rq.worker_registration import clean_worker_registry

from buffer.errors import StoreError
from buffer.keys import Ref
from config.killpoints import kill_point
from config.logs import get_logger
from worker.rq.job_ids import Flush, NewJob, refs_of_id
from worker.rq.queue import Dequeued, JobQueue
from worker.rq.registries import JobStopped, RegistryWriter

POP_WAIT_S = 1
"""How long a pop blocks: a stop waits for it (cancelling it could strand a job), longer only for a frozen server."""

TAKE_MAX = 1000
"""Conversations to take at once: Lua can return some thousand values, not any number."""

AWAY_S = 0.5
WORKER_TTL_S = 60
"""A worker that died disappears from RQ's list after this and RQ's own margin of 60 s."""

MAINTENANCE_EVERY_S = 60
"""RQ's default of ten minutes would show the jobs of a dead worker for that long."""

log = get_logger()


class AsyncWorker(BaseWorker):
    """Takes flush jobs from one queue, as many at once as `concurrency`, and keeps RQ's books on them."""

    def __init__(self, queue: JobQueue, flush: Flush, concurrency: int) -> None:
        connection: redis.Redis = queue.rq.connection
        super().__init__(
            [queue.rq],
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            maintenance_interval=MAINTENANCE_EVERY_S,
        )
        self.registries = RegistryWriter(self, queue.rq, connection)
        self._queue = queue
        self._concurrency = concurrency
        self._flush = flush
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[str, set[asyncio.Task[str]]] = {}
        self._failed: dict[str, BaseException] = {}
        self._held = 0
        self._expected = 0
        self._slots = asyncio.Semaphore(concurrency)
        self._stopped: set[str] = set()
        self._stuck: set[str] = set()
        self._room = asyncio.Event()
        self._stopping = False

    @property
    def in_flight(self) -> int:
        """How many conversations are in hand; what the last jobs carry beyond `concurrency` waits its turn."""
        return self._held

    @property
    def room(self) -> int:
        """How many more flushes may begin."""
        return 0 if self._stopping else max(0, self._concurrency - self.in_flight)

    @property
    def _free(self) -> int:
        """The room that no call for jobs under way may fill."""
        return max(0, self.room - self._expected)

    async def admit(self) -> None:
        """Take jobs and flush each until `stop_admission`; survives a restart of Redis."""
        while not self._stopping:
            if not self._free:
                self._room.clear()
                await self._room.wait()
                continue
            try:
                await self._admit_some()
            except StoreError as error:
                log.debug("no jobs: Redis is away", error=str(error))
                await asyncio.sleep(AWAY_S)

    def stop_admission(self) -> None:
        """Take no more jobs; those under way go on."""
        self._stopping = True
        self._room.set()

    async def finish(self, within_s: float, hurry: asyncio.Event) -> None:
        """Wait for the flushes under way; after `within_s`, or on `hurry`, they are cancelled and hand back."""
        if under_way := self._flushes():
            all_done = asyncio.ensure_future(asyncio.wait(under_way))
            hurried = asyncio.ensure_future(hurry.wait())
            await asyncio.wait((all_done, hurried), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            all_done.cancel()
        left = self._flushes()
        for flush in left:
            flush.cancel()
        if left:
            log.warning("flushes handed back at shutdown", count=len(left))
            await asyncio.wait(left)

    def _flushes(self) -> list[asyncio.Task[str]]:
        return [flush for flushes in self._jobs.values() for flush in flushes]

    def run_inline(self, ref: Ref) -> bool:
        """Run a flush that could not be enqueued; False when there is no room for it."""
        if not self.room:
            return False
        if f"inline-{ref}" in self._jobs:
            return True
        self._begin(f"inline-{ref}", [ref])
        return True

    async def enqueue_and_dequeue(self, jobs: Sequence[NewJob]) -> None:
        """Put jobs into the queue, and begin as many of those that have waited longest; raises StoreError.

        To cancel this may strand jobs until the wake index brings their conversations back.
        """
        await self._exchange(jobs, min(self._free, sum(job.size for job in jobs)))

    async def _admit_some(self) -> None:
        """What is there, or else the next job that comes."""
        suspended, job_ids = await self._exchange((), min(self._free, TAKE_MAX))
        if suspended:
            await asyncio.sleep(POP_WAIT_S)
        elif not job_ids and self._free:
            with self._expecting(1):
                popped = await self._queue.pop(POP_WAIT_S)
            self._take(() if popped is None else (popped,))

    async def _exchange(self, jobs: Sequence[NewJob], room: int) -> Dequeued:
        with self._expecting(room):
            taken = await self._queue.enqueue_and_dequeue(jobs, room)
        self.registries.suspended(taken.suspended)
        self._take(taken.job_ids)
        return taken

    @contextlib.contextmanager
    def _expecting(self, conversations: int) -> Iterator[None]:
        """Two calls at once must not fill the same room."""
        self._expected += conversations
        try:
            yield
        finally:
            self._expected -= conversations
            self._room.set()

    def _take(self, names: Sequence[bytes]) -> None:
        """Before anything else may fail: they are ours alone now."""
        if names:
            kill_point("worker_after_dequeue")
        for name in names:
            self._take_one(name)

    def _take_one(self, name: bytes) -> None:
        job_id = name.decode("utf-8", "replace")
        if job_id in self._jobs:
            return
        self.registries.job_started(job_id)
        try:
            refs = refs_of_id(job_id)
        except ValueError as error:
            self.registries.job_ended(job_id, error)
            return
        self._begin(job_id, refs)

    def _begin(self, job_id: str, refs: Sequence[Ref]) -> None:
        flushes = self._jobs[job_id] = {asyncio.create_task(self._flush_in_turn(ref)) for ref in refs}
        self._held += len(flushes)
        for flush in flushes:
            flush.add_done_callback(lambda done: self._end(job_id, done))

    async def _flush_in_turn(self, ref: Ref) -> str:
        """What a slice holds beyond our room waits here, and is left to the wake index when we stop."""
        waited = self._slots.locked()
        async with self._slots:
            return "left" if waited and self._stopping else await self._flush(ref)

    def _end(self, job_id: str, flush: asyncio.Task[str]) -> None:
        """Each conversation gives its room free; the job is over with its last one, and failed with any."""
        self._held -= 1
        self._room.set()
        error = _outcome(flush)
        if isinstance(error, Exception):
            log.error("flush broke off; its conversation is due again soon", job_id=job_id, error=str(error))
            self._failed[job_id] = error
        elif error is not None:
            self._failed.setdefault(job_id, error)
        flushes = self._jobs[job_id]
        flushes.discard(flush)
        if flushes:
            return
        del self._jobs[job_id]
        error = self._failed.pop(job_id, None)
        if not job_id.startswith("inline-"):
            self.registries.job_ended(job_id, JobStopped("stopped on request") if job_id in self._stopped else error)
        self._stopped.discard(job_id)

    def clean_registries(self) -> None:
        """RQ's clean-up, with our own of the intermediate queue: RQ's leaves a volatile key for every job it meets."""
        queue = self.queues[0]
        if queue.acquire_maintenance_lock():
            try:
                clean_registries(queue)
                clean_worker_registry(queue)
                self._clean_intermediate(queue)
            finally:
                queue.release_maintenance_lock()  # type: ignore[no-untyped-call]
        self.last_cleaned_at = now()  # type: ignore[assignment]

    def _clean_intermediate(self, queue: Queue) -> None:
        """What was there a whole interval ago belongs to a worker that died before it had shown the job as started."""
        key = queue.intermediate_queue_key
        names = cast(list[bytes], self.connection.lrange(key, 0, -1))
        held = {name.decode("utf-8", "replace"): name for name in names}
        left, self._stuck = held.keys() & self._stuck - self._jobs.keys(), set(held)
        for job_id in left:
            if job := self.registries.read([job_id])[0]:
                self.handle_job_failure(job, queue, exc_string="The worker that took this job died.")
            self.connection.lrem(key, 1, held[job_id])  # type: ignore[arg-type]

    def handle_payload(self, message: Any) -> None:
        """RQ's commands, in its pub/sub thread: stop-job and stop-execution cancel one flush of many."""
        payload = parse_payload(message)
        if payload.get("command") in ("stop-job", "stop-execution"):
            self._loop.call_soon_threadsafe(self._cancel_job, str(payload.get("job_id")))
        else:
            super().handle_payload(message)  # type: ignore[no-untyped-call]

    def _cancel_job(self, job_id: str) -> None:
        flushes = self._jobs.get(job_id, ())
        if not flushes:
            log.warning("RQ asked to stop a job that is not under way", job_id=job_id)
        else:
            self._stopped.add(job_id)
        for flush in flushes:
            flush.cancel()


def _outcome(flush: asyncio.Task[str]) -> BaseException | None:
    return asyncio.CancelledError() if flush.cancelled() else flush.exception()
