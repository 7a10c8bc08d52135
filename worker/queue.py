"""The RQ queue: how due conversations become jobs, and how full it is. RQ is synchronous: it runs in a thread.

RQ's own `enqueue_many` takes 120 us for each job, and no flush begins before it is done with all of them. Our jobs
differ in four fields: RQ makes the others once, and jobs are written in lots.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, cast

import redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat

from buffer.models import Due
from config.settings import Settings
from worker.job import JOB
from worker.slices import refs_of_job, slices_of

RESULT_TTL_S = 0
"""A finished flush is in our own history; a job kept for RQ's would cost memory and commands."""

FAILURE_TTL_S = 86_400
"""A failed job is a bug of ours (agents that fail are retried by the wake index): shown for a day."""

TIMEOUT_MARGIN_S = 120

LOT = 100
"""Jobs in one transaction: the worker takes the first while the next are being written."""


class FlushQueue:
    """The one queue of the flush jobs."""

    def __init__(self, settings: Settings, connection: redis.Redis) -> None:
        self.rq = Queue(settings.rq_queue, connection=connection, serializer=JSONSerializer)
        self._timeout_s = math.ceil(settings.agent_timeout) + TIMEOUT_MARGIN_S
        self._fields = self._same_in_all()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rq-enqueue")

    async def queued(self) -> set[str]:
        """The references of all conversations with a job in the queue; one of each at the most."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._queued)

    async def enqueue(self, due: Sequence[Due], size: int = 1) -> None:
        """Add a job for every `size` conversations of one partition; raises redis-py's errors."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._enqueue, due, size)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    def _same_in_all(self) -> dict[str, Any]:
        """The fields of a job as RQ makes them; each job's own replace some of them."""
        made = self.rq.create_job(
            JOB, timeout=self._timeout_s, result_ttl=RESULT_TTL_S, failure_ttl=FAILURE_TTL_S, status=JobStatus.QUEUED
        )
        return made.to_dict()

    def _queued(self) -> set[str]:
        refs: set[str] = set()
        names = cast(list[bytes], self.rq.connection.lrange(self.rq.key, 0, -1))
        for name in names:
            with contextlib.suppress(ValueError):
                refs.update(map(str, refs_of_job(name.decode())))
        return refs

    def _enqueue(self, due: Sequence[Due], size: int) -> None:
        jobs = slices_of(due, size)
        while lot := list(islice(jobs, LOT)):
            self._enqueue_lot(lot)

    def _enqueue_lot(self, jobs: Sequence[tuple[str, str]]) -> None:
        at = utcformat(now())
        with self.rq.connection.pipeline() as pipeline:
            pipeline.sadd(self.rq.redis_queues_keys, self.rq.key)
            for job_id, name in jobs:
                data = zlib.compress(json.dumps((JOB, None, [name], {})).encode())
                own = {"created_at": at, "enqueued_at": at, "data": data, "description": f"flush {name}"}
                pipeline.hset(Job.key_for(job_id), mapping=self._fields | own)  # type: ignore[arg-type]
            pipeline.rpush(self.rq.key, *(job_id for job_id, _ in jobs))
            pipeline.execute()
