"""The fields of our jobs as RQ writes them."""

from __future__ import annotations

import json
import zlib
from typing import Any

from rq import Queue
from rq.job import JobStatus

from worker.rq.job_ids import JOB_FUNCTION

RESULT_TTL_S = 0
"""RQ's own workers delete a finished job at once. Ours keep a bounded number of them (worker/rq/registries.py)."""

FAILURE_TTL_S = 86_400
"""RQ shows a failed job for one day. Such a job is a bug: agents that fail are retried through the wake index."""


def shared_fields(queue: Queue, timeout_s: int) -> dict[str, Any]:
    """Return the fields that RQ gives to a queued job, without those that differ between jobs."""
    made = queue.create_job(
        JOB_FUNCTION, timeout=timeout_s, result_ttl=RESULT_TTL_S, failure_ttl=FAILURE_TTL_S, status=JobStatus.QUEUED
    )
    fields = {name: _plain(value) for name, value in made.to_dict().items()}
    del fields["data"], fields["description"]
    return fields


def packed_call(function: str, argument: str) -> bytes:
    """Return the call of a function with one argument, as RQ's JSON serializer writes it."""
    return zlib.compress(json.dumps((function, None, [argument], {})).encode())


def _plain(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
