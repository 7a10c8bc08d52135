"""Writes RQ's registries (started, finished, failed jobs), many jobs in one pipeline and off the hot path.

RQ's own worker sends 63 commands for a job, one after the other. Here RQ's own classes write the same for many jobs in
one pipeline, and a script counts the jobs that end soon. A crash may cut a pipeline in half. The jobs of the rest are
then still in a place that is cleaned up: the intermediate queue, the started registry, or a key with a TTL.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from typing import Any

import redis
import redis.exceptions as rx
from rq import Queue
from rq.executions import Execution
from rq.job import Job
from rq.utils import now, utcformat
from rq.worker import BaseWorker, WorkerStatus
from rq.worker_registration import register

from buffer.models import Batch, Conversation
from config.logs import get_logger
from worker.rq.descriptions import batch_text
from worker.rq.scripts import script

WRITE_EVERY_S = 0.25
"""Delay between a change and the write that includes it."""

SHOW_AFTER_S = 1.0
"""Jobs that end within 1 s are only counted, never written to RQ's started registry.

An entry costs 250 us of the interpreter, which would delay the flushes when a thousand conversations are due at once.
"""

HEARTBEAT_S = 20.0
EXECUTION_TTL_S = 90
"""After this time without a heartbeat RQ counts a job as abandoned, and moves it to the failed registry."""

JOB_TTL_S = 60
"""TTL of a started job's hash. When its worker has died, RQ finds no job to move: its batch is delivered by another
worker, and nothing has failed."""

FINISHED_SHOWN_S = 500
"""How long RQ shows a finished job: its own default."""

KEPT_PER_S = 2.0
KEPT_AT_ONCE = 200
"""Finished jobs that one worker keeps: 200 at once, and 2 a second. A job that is not kept is counted all the same."""

JOBS_PER_PIPELINE = 50
REST_S = 0.002
"""Pause of the thread after each pipeline. It lets the event loop run, so that a thousand jobs do not delay a flush."""

log = get_logger()


class JobStopped(Exception):
    """RQ's stop-job or stop-execution ended this flush. Its batch was released and is delivered again."""


class NotDelivered(Exception):
    """No batch was acked: it is retried, dead or another worker's, or it was not due. RQ counts the job neither way."""


class RegistryWriter:
    """Writes RQ's registries for one worker. Flushes do not depend on them.

    `keeps_finished`: RQ shows finished jobs for a while, a bounded number of them.
    """

    def __init__(self, worker: BaseWorker, queue: Queue, connection: redis.Redis, keeps_finished: bool = False) -> None:
        self._worker = worker
        self._queue = queue
        self._connection = connection
        self._forget_jobs = connection.register_script(script("forget_jobs").source)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rq-registries")
        self._started: dict[str, float] = {}
        self._ended: dict[str, BaseException | None] = {}
        self._shown: dict[str, tuple[Job, Execution]] = {}
        self._batches: dict[str, tuple[int, Conversation]] = {}
        self._suspended = False
        self._keeps_finished = keeps_finished
        self._may_keep = float(KEPT_AT_ONCE)
        self._counted_at = time.monotonic()
        self._changed = asyncio.Event()

    def job_started(self, job_id: str) -> None:
        """Note that a job was taken from the queue."""
        self._started[job_id] = time.monotonic()
        self._changed.set()

    def batch_claimed(self, job_id: str, batch: Batch) -> None:
        """Note whose batch a job delivers, for the description of a job that was not shown before."""
        self._batches[job_id] = (len(batch.messages), batch.conversation)

    def job_ended(self, job_id: str, error: BaseException | None = None) -> None:
        """Note that a job has ended.

        `error` is None for a success, CancelledError for a released batch, NotDelivered, JobStopped, or a bug.
        """
        self._ended[job_id] = error
        self._changed.set()

    def suspended(self, suspended: bool) -> None:
        """Note whether `rq suspend` keeps this worker from taking jobs."""
        if suspended != self._suspended:
            self._suspended = suspended
            self._changed.set()

    async def write_forever(self) -> None:
        """Write the changes until cancelled. A write that fails is repeated with the next changes."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write the jobs that have ended, and those that have run for SHOW_AFTER_S."""
        ended, self._ended = self._ended, {}
        for job_id in ended:
            self._started.pop(job_id, None)
        before = time.monotonic() - SHOW_AFTER_S
        lasting = {job_id: since for job_id, since in self._started.items() if since <= before}
        for job_id in lasting:
            del self._started[job_id]
        self._changed.clear()
        if await self._in_thread(self._write, list(lasting), ended):
            for job_id in ended:
                self._batches.pop(job_id, None)
        else:
            self._ended = ended | self._ended
            self._started = {one: since for one, since in lasting.items() if one not in self._ended} | self._started
        if self._started or self._ended:
            self._changed.set()

    async def keep_alive(self) -> None:
        """Send heartbeats of the worker and of every shown job until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._in_thread(self._send_heartbeats)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Any, *args: Any) -> bool:
        """Run `work` in the thread. Return False if it is to be repeated, because RQ's server is away."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
        except (rx.RedisError, OSError) as error:
            log.debug("RQ's registries were not written", error=str(error))
            return False
        except Exception as error:  # a bug in RQ or here is no reason to stop flushing
            log.error("RQ's registries lack some jobs", error=repr(error), exc_info=error)
        return True

    def read(self, job_ids: Sequence[str]) -> list[Job | None]:
        """Read jobs from RQ. None stands for a job that is gone, or that RQ cannot read (another program made it)."""
        try:
            return Job.fetch_many(job_ids, self._connection, serializer=self._queue.serializer)
        except (rx.RedisError, OSError):
            raise
        except Exception:
            return [None] if len(job_ids) == 1 else [self.read([job_id])[0] for job_id in job_ids]

    def _write(self, lasting: Sequence[str], ended: Mapping[str, BaseException | None]) -> None:
        if lasting:
            self._write_state(WorkerStatus.BUSY)  # before any of its jobs is shown, as RQ's own worker does
        for job_ids in _chunks(lasting):
            self._write_started(job_ids)
        for job_ids in _chunks([job_id for job_id, error in ended.items() if not _is_failure(error)]):
            self._write_ended(job_ids, [job_id for job_id in job_ids if ended[job_id] is None])
        for job_id, error in ended.items():
            if error is not None and _is_failure(error):
                self._write_failed(job_id, error)
        self._write_state(self._state())

    def _write_state(self, state: WorkerStatus) -> None:
        if state != self._worker.get_state():
            self._worker.set_state(state)

    def _state(self) -> WorkerStatus:
        if self._shown:
            return WorkerStatus.BUSY
        return WorkerStatus.SUSPENDED if self._suspended else WorkerStatus.IDLE

    def _write_started(self, job_ids: Sequence[str]) -> None:
        worker = self._worker
        jobs = self.read(job_ids)
        with self._connection.pipeline(transaction=False) as pipeline:
            for job in jobs:
                if job is None:
                    continue
                self._remove_execution(job.id, pipeline)  # if an earlier write of these jobs failed
                execution = Execution.create(job, EXECUTION_TTL_S, pipeline=pipeline, worker_name=worker.name)
                job.prepare_for_execution(worker.name, pipeline=pipeline)
                if text := self._text_of(job.id):
                    job.description = text
                    pipeline.hset(job.key, "description", text)
                pipeline.expire(job.key, JOB_TTL_S)
                self._shown[job.id] = (job, execution)
                worker.executions[execution.id] = execution
            for job_id in job_ids:
                pipeline.lrem(self._queue.intermediate_queue_key, 1, job_id)
            pipeline.execute()

    def _text_of(self, job_id: str) -> str:
        batch = self._batches.get(job_id)
        return "" if batch is None else batch_text(*batch)

    def _write_ended(self, job_ids: Sequence[str], successful: Sequence[str]) -> None:
        """Remove jobs that ended without failure, keep some of the successful ones, and count these.

        The shown jobs come first. If the script then fails, the next write treats all of them as never shown.
        """
        kept = self._kept(successful)
        if shown := [job_id for job_id in job_ids if job_id in self._shown]:
            self._remove_shown(shown, kept)
        until_s, ended_at = int(time.time()) + FINISHED_SHOWN_S, utcformat(now())
        forgotten = [job_id for job_id in job_ids if job_id not in kept]
        args: list[Any] = [self._worker.key, len(successful), ended_at, until_s, len(kept)]
        args += [word for job_id in kept for word in (job_id, self._text_of(job_id))]
        self._forget_jobs([self._queue.key], [*args, *forgotten])

    def _kept(self, successful: Sequence[str]) -> Sequence[str]:
        """Return the jobs that are kept as finished: all of them, or the first ones while there are many."""
        if not self._keeps_finished:
            return ()
        moment = time.monotonic()
        self._may_keep = min(KEPT_AT_ONCE, self._may_keep + KEPT_PER_S * (moment - self._counted_at))
        self._counted_at = moment
        kept = successful[: int(self._may_keep)]
        self._may_keep -= len(kept)
        return kept

    def _remove_shown(self, job_ids: Sequence[str], kept: Collection[str]) -> None:
        with self._connection.pipeline(transaction=False) as pipeline:
            if forgotten := [job_id for job_id in job_ids if job_id not in kept]:
                pipeline.delete(*map(Job.key_for, forgotten))
            spent = sum([self._remove_execution(job_id, pipeline) for job_id in job_ids], timedelta())
            self._worker.increment_total_working_time(spent, pipeline)
            pipeline.execute()
        for job_id in job_ids:
            del self._shown[job_id]

    def _remove_execution(self, job_id: str, pipeline: Any) -> timedelta:
        """Take a job out of the started registry. Return how long it was shown there."""
        if job_id not in self._shown:
            return timedelta()
        job, execution = self._shown[job_id]
        execution.delete(job, pipeline)
        self._worker.executions.pop(execution.id, None)
        return now() - execution.created_at

    def _write_failed(self, job_id: str, error: BaseException) -> None:
        job, execution = self._shown.pop(job_id, (None, None))
        job = job or self.read([job_id])[0]
        if job is not None:
            job.ended_at = now()
            text = "".join(traceback.format_exception(error))
            if isinstance(error, JobStopped):
                self._worker._stopped_job_id = job_id
            self._worker.handle_job_failure(job, self._queue, exc_string=text, execution=execution)
        self._connection.lrem(self._queue.intermediate_queue_key, 1, job_id)

    def _send_heartbeats(self) -> None:
        worker = self._worker
        with self._connection.pipeline(transaction=False) as pipeline:
            worker.heartbeat(pipeline=pipeline)
            if pipeline.execute()[0] == 1:
                # The heartbeat created the worker's hash: it had expired or the server lost it. Register again.
                pipeline.hset(worker.key, mapping=worker.serialize())
                worker.set_state(worker.get_state(), pipeline=pipeline)
                register(worker, pipeline)
                pipeline.expire(worker.key, worker.worker_ttl + 60)
                pipeline.execute()
            for shown in _chunks(list(self._shown.values())):
                for job, execution in shown:
                    execution.heartbeat(job.started_job_registry, EXECUTION_TTL_S, pipeline=pipeline)
                    pipeline.expire(job.key, JOB_TTL_S)
                pipeline.execute()


def _is_failure(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, asyncio.CancelledError | NotDelivered)


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield JOBS_PER_PIPELINE items at a time, and rest for REST_S after each."""
    rest = iter(items)
    while chunk := list(islice(rest, JOBS_PER_PIPELINE)):
        yield chunk
        time.sleep(REST_S)
