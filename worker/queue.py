"""The RQ queue: how due conversations become jobs, and how full it is. RQ is synchronous: it runs in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from buffer.models import Due
from config.settings import Settings
from worker.job import JOB
from worker.slices import refs_of_job, slices_of

RESULT_TTL_S = 0
"""A finished flush is in our own history; a job kept for RQ's would cost memory and commands."""

FAILURE_TTL_S = 86_400
"""A failed job is a bug of ours (agents that fail are retried by the wake index): shown for a day."""

TIMEOUT_MARGIN_S = 120


class FlushQueue:
    """The one queue of the flush jobs."""

    def __init__(self, settings: Settings, connection: redis.Redis) -> None:
        self.rq = Queue(settings.rq_queue, connection=connection, serializer=JSONSerializer)
        self._timeout_s = math.ceil(settings.agent_timeout) + TIMEOUT_MARGIN_S
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rq-enqueue")

    async def queued(self) -> set[str]:
        """The references of all conversations with a job in the queue; one of each at the most."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._queued)

    async def enqueue(self, due: Sequence[Due], size: int = 1) -> None:
        """Add a job for every `size` conversations of one partition, in one pipeline; raises redis-py's errors."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._enqueue, due, size)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    def _queued(self) -> set[str]:
        refs: set[str] = set()
        for job in self.rq.get_job_ids():
            with contextlib.suppress(ValueError):
                refs.update(map(str, refs_of_job(job)))
        return refs

    def _enqueue(self, due: Sequence[Due], size: int) -> None:
        self.rq.enqueue_many(
            [
                Queue.prepare_data(
                    JOB,
                    args=[name],
                    timeout=self._timeout_s,
                    result_ttl=RESULT_TTL_S,
                    failure_ttl=FAILURE_TTL_S,
                    description=f"flush {name}",
                    job_id=job_id,
                )
                for job_id, name in slices_of(due, size)
            ]
        )
