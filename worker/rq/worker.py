"""The worker as RQ sees it: registration, commands and clean-up. Its jobs run in worker/rq/runner.py.

Written for RQ 3.0. tests/unit/test_rq_contract.py lists the parts of RQ that this package uses.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import redis
from rq import Queue
from rq.command import parse_payload
from rq.registry import clean_registries
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import BaseWorker
from rq.worker_registration import clean_worker_registry

from worker.rq.queue import JobQueue
from worker.rq.registries import RegistryWriter
from worker.rq.runner import FlushFunction, JobRunner

WORKER_TTL_S = 60
"""A worker that died disappears from RQ's list after this time plus RQ's own margin of 60 s."""

MAINTENANCE_EVERY_S = 60
"""With RQ's default of 10 minutes, the jobs of a dead worker would be shown as running for that long."""


class AsyncWorker(BaseWorker):
    """RQ's worker class for jobs that run as tasks of one event loop. RQ's own classes run one job each."""

    def __init__(self, queue: JobQueue, flush: FlushFunction, concurrency: int) -> None:
        connection: redis.Redis = queue.rq.connection
        super().__init__(
            [queue.rq],
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            maintenance_interval=MAINTENANCE_EVERY_S,
        )
        self.registries = RegistryWriter(self, queue.rq, connection)
        self.runner = JobRunner(queue, self.registries, flush, concurrency)
        self._loop = asyncio.get_running_loop()
        self._seen_in_intermediate: set[str] = set()

    def announce(self) -> None:
        """Register the worker and subscribe to RQ's commands. Raises redis-py's errors."""
        self.subscribe()  # type: ignore[no-untyped-call]
        self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state("idle")

    def handle_payload(self, message: Any) -> None:
        """Handle a command in RQ's pub/sub thread. stop-job and stop-execution cancel one job of many."""
        payload = parse_payload(message)
        if payload.get("command") in ("stop-job", "stop-execution"):
            self._loop.call_soon_threadsafe(self.runner.cancel_job, str(payload.get("job_id")))
        else:
            super().handle_payload(message)  # type: ignore[no-untyped-call]

    def clean_registries(self) -> None:
        """Do RQ's clean-up, but clean the intermediate queue without RQ's one volatile key for every job in it."""
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
        """Fail the jobs that were already in the intermediate queue at the previous run.

        Their worker died before it registered them as started.
        """
        key = queue.intermediate_queue_key
        names = cast(list[bytes], self.connection.lrange(key, 0, -1))
        found = {name.decode("utf-8", "replace"): name for name in names}
        abandoned = [id_ for id_ in self._seen_in_intermediate & found.keys() if not self.runner.is_running(id_)]
        self._seen_in_intermediate = set(found)
        for job_id in abandoned:
            if job := self.registries.read([job_id])[0]:
                self.handle_job_failure(job, queue, exc_string="The worker that took this job died.")
            self.connection.lrem(key, 1, found[job_id])  # type: ignore[arg-type]
