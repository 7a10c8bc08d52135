"""RQ's view of our jobs (started, finished, failed), written in lots and off the hot path.

RQ's own worker spends 63 commands on a job, one after the other. What its dashboards and clean-up need is written
here with RQ's own classes, many jobs in one pipeline; jobs that are soon over are only counted, by a script. A
pipeline may be cut in half by a crash: what is begun stays in a place that RQ cleans (intermediate queue, started
registry, TTL).
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from typing import Any

import redis
import redis.exceptions as rx
from rq import Queue
from rq.executions import Execution
from rq.job import Job
from rq.utils import now
from rq.worker import BaseWorker, WorkerStatus
from rq.worker_registration import register

from config.logs import get_logger
from worker.rq.scripts import script

WRITE_EVERY_S = 0.25
SHOW_AFTER_S = 1.0
"""A flush that is over by then is only counted; what people watch on a dashboard lasts longer.

Showing a job takes 250 us of the interpreter: by then a thousand that came due together have reached their agent.
"""

HEARTBEAT_S = 20.0
"""Below RQ's 90 s (job_monitoring_interval + 60), after which a live job counts as abandoned."""

JOBS_PER_PIPELINE = 50
REST_S = 0.002
"""After each lot the thread leaves the interpreter to the loop: a thousand jobs at once must not make a flush late."""

log = get_logger()


class JobStopped(Exception):
    """RQ's stop-job or stop-execution ended this flush; its batch is handed back and comes again."""


class RegistryWriter:
    """Keeps RQ's registries for one worker; nothing of ours depends on them."""

    def __init__(self, worker: BaseWorker, queue: Queue, connection: redis.Redis) -> None:
        self._worker = worker
        self._queue = queue
        self._connection = connection
        self._done = connection.register_script(script("forget_jobs").source)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rq-books")
        self._fresh: dict[str, float] = {}
        self._ended: dict[str, BaseException | None] = {}
        self._live: dict[str, tuple[Job, Execution]] = {}
        self._suspended = False
        self._news = asyncio.Event()

    def job_started(self, job_id: str) -> None:
        """A job was taken from the queue."""
        self._fresh[job_id] = time.monotonic()
        self._news.set()

    def job_ended(self, job_id: str, error: BaseException | None = None) -> None:
        """A job is over; `error` is a failure of ours (not of the agent), Stopped, or CancelledError: handed back."""
        self._ended[job_id] = error
        self._news.set()

    def suspended(self, suspended: bool) -> None:
        """Whether `rq suspend` keeps this worker from taking jobs."""
        if suspended != self._suspended:
            self._suspended = suspended
            self._news.set()

    async def write_forever(self) -> None:
        """Write lots until cancelled; what could not be written is written with the next lot."""
        while True:
            await self._news.wait()
            await asyncio.sleep(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write what is due to be written."""
        ended, self._ended = self._ended, {}
        for job_id in ended:
            self._fresh.pop(job_id, None)
        before = time.monotonic() - SHOW_AFTER_S
        lasting = {job_id: since for job_id, since in self._fresh.items() if since <= before}
        for job_id in lasting:
            del self._fresh[job_id]
        self._news.clear()
        if not await self._in_thread(self._write, list(lasting), ended):
            self._ended = ended | self._ended
            self._fresh = {one: since for one, since in lasting.items() if one not in self._ended} | self._fresh
        if self._fresh or self._ended:
            self._news.set()

    async def keep_alive(self) -> None:
        """Send heartbeats of the worker and of every live job until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._in_thread(self._beat)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Any, *args: Any) -> bool:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
        except (rx.RedisError, OSError) as error:
            log.debug("RQ's registries were not written", error=str(error))
            return False
        except Exception as error:  # not ours to mend, and no reason to stop flushing
            log.error("RQ's registries lack some jobs", error=repr(error), exc_info=error)
        return True

    def read(self, job_ids: Sequence[str]) -> list[Job | None]:
        """The jobs as RQ has them; None for one that is gone, or that RQ cannot read (somebody else has made it)."""
        try:
            return Job.fetch_many(job_ids, self._connection, serializer=self._queue.serializer)
        except (rx.RedisError, OSError):
            raise
        except Exception:
            return [None] if len(job_ids) == 1 else [self.read([job_id])[0] for job_id in job_ids]

    def _write(self, lasting: Sequence[str], ended: Mapping[str, BaseException | None]) -> None:
        if lasting:
            self._write_state(WorkerStatus.BUSY)  # before any of its jobs is shown, as RQ's own worker does
        for lot in _lots(lasting):
            self._write_started(lot)
        for lot in _lots([job_id for job_id, error in ended.items() if not _is_failure(error)]):
            self._write_done(lot, sum(ended[job_id] is None for job_id in lot))
        for job_id, error in ended.items():
            if error is not None and _is_failure(error):
                self._write_failed(job_id, error)
        self._write_state(self._state())

    def _write_state(self, state: WorkerStatus) -> None:
        if state != self._worker.get_state():
            self._worker.set_state(state)

    def _state(self) -> WorkerStatus:
        if self._live:
            return WorkerStatus.BUSY
        return WorkerStatus.SUSPENDED if self._suspended else WorkerStatus.IDLE

    def _write_started(self, job_ids: Sequence[str]) -> None:
        worker = self._worker
        jobs = self.read(job_ids)
        with self._connection.pipeline(transaction=False) as pipeline:
            for job in jobs:
                if job is None:
                    continue
                self._forget(job.id, pipeline)  # a lot that is written again
                ttl = worker.get_heartbeat_ttl(job)
                execution = Execution.create(job, ttl, pipeline=pipeline, worker_name=worker.name)
                job.prepare_for_execution(worker.name, pipeline=pipeline)
                pipeline.persist(job.key)
                self._live[job.id] = (job, execution)
                worker.executions[execution.id] = execution
            for job_id in job_ids:
                pipeline.lrem(self._queue.intermediate_queue_key, 1, job_id)
            pipeline.execute()

    def _write_done(self, job_ids: Sequence[str], successful: int) -> None:
        """Those that were shown first: should the rest fail, they are like the others when it is written again."""
        if shown := [job_id for job_id in job_ids if job_id in self._live]:
            self._write_shown_done(shown)
        self._done([self._queue.key], [self._worker.key, successful, *job_ids])

    def _write_shown_done(self, job_ids: Sequence[str]) -> None:
        with self._connection.pipeline(transaction=False) as pipeline:
            pipeline.delete(*map(Job.key_for, job_ids))
            spent = sum([self._forget(job_id, pipeline) for job_id in job_ids], timedelta())
            self._worker.increment_total_working_time(spent, pipeline)
            pipeline.execute()
        for job_id in job_ids:
            del self._live[job_id]

    def _forget(self, job_id: str, pipeline: Any) -> timedelta:
        """Take a job out of the started registry; returns how long it was shown there."""
        if job_id not in self._live:
            return timedelta()
        job, execution = self._live[job_id]
        execution.delete(job, pipeline)
        self._worker.executions.pop(execution.id, None)
        return now() - execution.created_at

    def _write_failed(self, job_id: str, error: BaseException) -> None:
        job, execution = self._live.pop(job_id, (None, None))
        job = job or self.read([job_id])[0]
        if job is not None:
            job.ended_at = now()
            text = "".join(traceback.format_exception(error))
            if isinstance(error, JobStopped):
                self._worker._stopped_job_id = job_id
            self._worker.handle_job_failure(job, self._queue, exc_string=text, execution=execution)
        self._connection.lrem(self._queue.intermediate_queue_key, 1, job_id)

    def _beat(self) -> None:
        worker = self._worker
        with self._connection.pipeline(transaction=False) as pipeline:
            worker.heartbeat(pipeline=pipeline)
            if pipeline.execute()[0] == 1:
                # The worker's hash was gone (expired, or the server lost it): announce ourselves again.
                pipeline.hset(worker.key, mapping=worker.serialize())
                worker.set_state(worker.get_state(), pipeline=pipeline)
                register(worker, pipeline)
                pipeline.expire(worker.key, worker.worker_ttl + 60)
                pipeline.execute()
            for lot in _lots(list(self._live.values())):
                for job, execution in lot:
                    ttl = worker.get_heartbeat_ttl(job)
                    execution.heartbeat(job.started_job_registry, ttl, pipeline=pipeline)
                pipeline.execute()


def _is_failure(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, asyncio.CancelledError)


def _lots(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The items in lots, with a rest after each."""
    rest = iter(items)
    while lot := list(islice(rest, JOBS_PER_PIPELINE)):
        yield lot
        time.sleep(REST_S)
