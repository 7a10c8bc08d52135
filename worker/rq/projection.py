"""Makes the jobs that RQ's registries show for pending flushes and dead letters, and finds what differs."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from rq.utils import utcformat

from buffer.operator_models import DeadLetter
from buffer.upcoming import Upcoming
from worker.rq.descriptions import letter_reason, letter_text, pending_text
from worker.rq.job_fields import packed_call
from worker.rq.job_ids import JOB_FUNCTION, REDRIVE_FUNCTION, letter_id, shown_id

NEAR_MS = 1000
"""A flush whose moment is nearer is not shown anew: it would be taken back at once."""

LETTER_SHOWN_S = 10 * 365 * 86_400
"""RQ removes a failed job after its score. A dead letter has no end of its own."""

Registry = Literal["scheduled", "failed"]


class ShownJob(NamedTuple):
    """A job of one of RQ's registries. `score` is the due time, or the end of a failed job, in seconds."""

    registry: Registry
    job_id: str
    score: float
    created_ms: int
    ended_ms: int | None
    description: str
    function: str
    argument: str
    reason: str = ""

    def words(self) -> list[Any]:
        """Return the arguments of show.lua."""
        ended_at = "" if self.ended_ms is None else _moment(self.ended_ms)
        reason = b64encode(zlib.compress(self.reason.encode())) if self.reason else b""
        call = packed_call(self.function, self.argument)
        return [*self[:2], repr(self.score), _moment(self.created_ms), ended_at, self.description, call, reason]


class Shown(NamedTuple):
    """The ids of our jobs in the scheduled registry with their scores, and those in the failed registry.

    `is_first`: the worker had no lease before. Another one may have shown, or a person was erased.
    """

    is_first: bool
    scheduled: dict[str, float]
    failed: set[str]

    def has(self, job: ShownJob) -> bool:
        """Return True if a job stands in its registry as it should."""
        if job.registry == "failed":
            return job.job_id in self.failed
        return self.scheduled.get(job.job_id) == job.score


class Changes(NamedTuple):
    """What is to be removed (registry and id) and what is to be written."""

    removed: list[tuple[Registry, str]]
    written: list[ShownJob]


def pending_jobs(now_ms: int, items: Iterable[Upcoming], shown: Shown) -> list[ShownJob]:
    """Return a job for each pending flush, without those that are not shown yet and due about now."""
    return [
        _pending_job(item, now_ms)
        for item in items
        if abs(item.due_ms - now_ms) >= NEAR_MS or shown_id(item.ref) in shown.scheduled
    ]


def _pending_job(item: Upcoming, now_ms: int) -> ShownJob:
    # RQ's scheduler compares whole seconds with the score, so that a fraction makes it late and never early.
    created_ms = min(item.due_ms, now_ms) if item.opened_ms is None else item.opened_ms
    job_id, text = shown_id(item.ref), pending_text(item)
    return ShownJob("scheduled", job_id, item.due_ms / 1000, created_ms, None, text, JOB_FUNCTION, str(item.ref))


def letter_jobs(letters: Iterable[DeadLetter]) -> list[ShownJob]:
    """Return a job for each dead letter that was not redriven."""
    return [_letter_job(letter) for letter in letters if letter.redriven_ms is None]


def _letter_job(letter: DeadLetter) -> ShownJob:
    died_ms, flush_id = letter.died_ms, letter.flush_id
    score, text = died_ms / 1000 + LETTER_SHOWN_S, letter_text(letter)
    job_id, reason = letter_id(flush_id), letter_reason(letter)
    return ShownJob("failed", job_id, score, died_ms, died_ms, text, REDRIVE_FUNCTION, flush_id, reason)


def changes(wanted: Mapping[str, ShownJob], shown: Shown, written: Mapping[str, ShownJob]) -> Changes:
    """Compare what is wanted with what is shown. `written` has the jobs as this process wrote them before."""
    present: list[tuple[Registry, str]] = [("scheduled", job_id) for job_id in shown.scheduled]
    present += [("failed", job_id) for job_id in shown.failed]
    return Changes(
        [(registry, job_id) for registry, job_id in present if job_id not in wanted],
        [job for job_id, job in wanted.items() if written.get(job_id) != job or not shown.has(job)],
    )


def _moment(moment_ms: int) -> str:
    return utcformat(datetime.fromtimestamp(moment_ms / 1000, UTC))
