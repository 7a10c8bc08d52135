"""The worker as RQ sees it: registration, commands and clean-up. Its jobs run in worker/rq/runner.py.

Written for RQ 3.0. tests/unit/test_rq_contract.py lists the parts of RQ that this package uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import redis
from rq import Queue
from rq.command import parse_payload
from rq.exceptions import AbandonedJobError
from rq.job import Job
from rq.registry import clean_registries
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import BaseWorker
from rq.worker_registration import clean_worker_registry

from config.logs import get_logger
from worker.rq.job_ids import is_flush, is_ours
from worker.rq.queue import JobQueue
from worker.rq.registries import RegistryWriter
from worker.rq.runner import JobRunner, Work

WORKER_TTL_S = 60
"""A worker that died disappears from RQ's list after this time plus RQ's own margin of 60 s."""

MAINTENANCE_EVERY_S = 60
"""With RQ's default of 10 minutes, the jobs of a dead worker would be shown as running for that long."""


ABANDONED = (AbandonedJobError.__name__, "stuck in intermediate queue")
"""Words of RQ's clean-up in the result of a job whose worker died."""

log = get_logger()


class AsyncWorker(BaseWorker):
    """RQ's worker class for jobs that run as tasks of one event loop. RQ's own classes run one job each."""

    def __init__(
        self,
        queue: JobQueue,
        work: Work,
        concurrency: int,
        on_suspension: Callable[[bool], None] = lambda _: None,
        keeps_finished: bool = False,
    ) -> None:
        connection: redis.Redis = queue.rq.connection
        super().__init__(
            [queue.rq],
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            maintenance_interval=MAINTENANCE_EVERY_S,
        )
        self.registries = RegistryWriter(self, queue.rq, connection, keeps_finished)
        self.runner = JobRunner(queue, self.registries, work, concurrency, on_suspension)
        self._loop = asyncio.get_running_loop()
        self._seen_in_intermediate: set[str] = set()
        self._seen_in_failed: set[str] = set()

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
        """Do RQ's clean-up, but clean the intermediate queue without RQ's one volatile key for every job in it.

        A job whose worker died ends without a trace: its batch is delivered through the wake index.
        """
        queue = self.queues[0]
        if queue.acquire_maintenance_lock():
            try:
                clean_registries(queue)
                clean_worker_registry(queue)
                self._clean_intermediate(queue)
            finally:
                queue.release_maintenance_lock()  # type: ignore[no-untyped-call]
        self._forget_abandoned(queue)  # outside of the lock: a stock worker may have marked them
        self.last_cleaned_at = now()  # type: ignore[assignment]

    def _clean_intermediate(self, queue: Queue) -> None:
        """Forget the jobs that were already in the intermediate queue at the previous run.

        Their worker died before it registered them as started. A job of another program fails, as under RQ's worker.
        """
        key = queue.intermediate_queue_key
        names = cast(list[bytes], self.connection.lrange(key, 0, -1))
        found = {name.decode("utf-8", "replace"): name for name in names}
        abandoned = [id_ for id_ in self._seen_in_intermediate & found.keys() if not self.runner.is_running(id_)]
        self._seen_in_intermediate = set(found)
        for job_id in abandoned:
            if job := self.registries.read([job_id])[0]:
                if is_ours(job_id):
                    job.delete(remove_from_queue=False)
                else:
                    self.handle_job_failure(job, queue, exc_string="The worker that took this job died.")
            self.connection.lrem(key, 1, found[job_id])  # type: ignore[arg-type]

    def _forget_abandoned(self, queue: Queue) -> None:
        """Delete the flush jobs that RQ's clean-up moved to the failed registry, because their worker died.

        Each job is read once. Jobs that failed for another reason stay: they are bugs.
        """
        failed = set(queue.failed_job_registry.get_job_ids(cleanup=False))
        new = [job_id for job_id in failed - self._seen_in_failed if is_flush(job_id)]
        self._seen_in_failed = failed
        abandoned = [job for job in self.registries.read(new) if job is not None and _is_abandoned(job)] if new else []
        for job in abandoned:
            job.delete(remove_from_queue=False)
        if abandoned:
            log.info("RQ jobs of a worker that died are handed back", jobs=len(abandoned))


def _is_abandoned(job: Job) -> bool:
    result = job.latest_result()
    return result is not None and any(words in str(result.exc_string) for words in ABANDONED)
