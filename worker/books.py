"""RQ's view of our jobs (started, finished, failed), written in lots and off the hot path.

RQ's own worker spends 63 commands on a job, one after the other. What its dashboards and clean-up need is written
here with RQ's own classes, many jobs in one pipeline; a job that is soon over is only counted.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
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

LOT_EVERY_S = 0.25
SHOW_AFTER_S = 0.5
"""A flush that is over by then is only counted; what people watch on a dashboard lasts longer."""

HEARTBEAT_S = 20.0
"""Below RQ's 90 s (job_monitoring_interval + 60), after which a live job counts as abandoned."""

SHOWN_MAX = 500
"""Jobs shown as started in one lot, so that the thread does not hold the interpreter for long."""

log = get_logger()


class Books:
    """Keeps RQ's registries for one worker; nothing of ours depends on them."""

    def __init__(self, worker: BaseWorker, queue: Queue, connection: redis.Redis) -> None:
        self._worker = worker
        self._queue = queue
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rq-books")
        self._fresh: dict[str, float] = {}
        self._ended: dict[str, BaseException | None] = {}
        self._live: dict[str, tuple[Job, Execution]] = {}
        self._news = asyncio.Event()

    def started(self, job_id: str) -> None:
        """A job was taken from the queue."""
        self._fresh[job_id] = time.monotonic()
        self._news.set()

    def ended(self, job_id: str, error: BaseException | None = None) -> None:
        """A job is over; `error` is a failure of ours, not of the agent."""
        self._ended[job_id] = error
        self._news.set()

    async def keep(self) -> None:
        """Write lots until cancelled; what could not be written is dropped, RQ cleans up by itself."""
        while True:
            await self._news.wait()
            await asyncio.sleep(LOT_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write what is due to be written."""
        ended, self._ended = self._ended, {}
        passing = [job_id for job_id in ended if self._fresh.pop(job_id, None) is not None]
        before = time.monotonic() - SHOW_AFTER_S
        lasting = [job_id for job_id, since in self._fresh.items() if since <= before][:SHOWN_MAX]
        for job_id in lasting:
            del self._fresh[job_id]
        if not self._fresh:
            self._news.clear()
        if ended or lasting:
            await self._in_thread(self._write, lasting, ended, passing)

    async def keep_alive(self) -> None:
        """Send heartbeats of the worker and of every live job until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._in_thread(self._beat)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Any, *args: Any) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
        except (rx.RedisError, OSError) as error:
            log.debug("RQ's registries were not written", error=str(error))

    def _write(self, lasting: list[str], ended: dict[str, BaseException | None], passing: list[str]) -> None:
        self._write_started(lasting)
        self._write_done([job_id for job_id, error in ended.items() if error is None], passing)
        for job_id, error in ended.items():
            if error is not None:
                self._write_failed(job_id, error)

    def _write_started(self, job_ids: list[str]) -> None:
        if not job_ids:
            return
        worker = self._worker
        jobs = Job.fetch_many(job_ids, self._connection, serializer=self._queue.serializer)
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id, job in zip(job_ids, jobs, strict=True):
                pipeline.lrem(self._queue.intermediate_queue_key, 1, job_id)
                if job is None:
                    continue
                ttl = worker.get_heartbeat_ttl(job)
                execution = Execution.create(job, ttl, pipeline=pipeline, worker_name=worker.name)
                job.prepare_for_execution(worker.name, pipeline=pipeline)
                self._live[job_id] = (job, execution)
                worker.executions[execution.id] = execution
            worker.set_state(WorkerStatus.BUSY, pipeline=pipeline)
            pipeline.execute()

    def _write_done(self, job_ids: list[str], passing: list[str]) -> None:
        if not job_ids:
            return
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                self._forget(job_id, pipeline)
                pipeline.delete(Job.key_for(job_id))
            for job_id in passing:
                pipeline.lrem(self._queue.intermediate_queue_key, 1, job_id)
            pipeline.hincrby(self._worker.key, "successful_job_count", len(job_ids))
            if not self._live:
                self._worker.set_state(WorkerStatus.IDLE, pipeline=pipeline)
            pipeline.execute()

    def _forget(self, job_id: str, pipeline: Any) -> None:
        job, execution = self._live.pop(job_id, (None, None))
        if job is None or execution is None:
            return
        execution.delete(job, pipeline)
        self._worker.executions.pop(execution.id, None)
        spent: timedelta = now() - execution.created_at
        self._worker.increment_total_working_time(spent, pipeline)

    def _write_failed(self, job_id: str, error: BaseException) -> None:
        job, execution = self._live.pop(job_id, (None, None))
        job = job or Job.fetch_many([job_id], self._connection, serializer=self._queue.serializer)[0]
        self._connection.lrem(self._queue.intermediate_queue_key, 1, job_id)
        if job is None:
            return
        job.ended_at = now()
        text = "".join(traceback.format_exception(error))
        self._worker.handle_job_failure(job, self._queue, exc_string=text, execution=execution)

    def _beat(self) -> None:
        worker = self._worker
        with self._connection.pipeline(transaction=False) as pipeline:
            worker.heartbeat(pipeline=pipeline)
            for job, execution in list(self._live.values()):
                ttl = worker.get_heartbeat_ttl(job)
                execution.heartbeat(job.started_job_registry, ttl, pipeline=pipeline)
            results = pipeline.execute()
            if results[0] == 1:
                # The worker's hash was gone (expired, or the server lost it): announce ourselves again.
                pipeline.hset(worker.key, mapping=worker.serialize())
                register(worker, pipeline)
                pipeline.expire(worker.key, worker.worker_ttl + 60)
                pipeline.execute()
