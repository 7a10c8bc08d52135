"""The RQ queue: how jobs are added and taken, and how full it is.

RQ's own `enqueue_many` takes 120 us for each job, in a thread, and no flush begins before it is done with all of
them. Our jobs differ in a few fields: RQ makes the others once, and jobs are written and taken in lots by scripts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import redis
from rq import Queue
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.transport.clients import AsyncClient, pool_of
from buffer.transport.multiplexer import Multiplexer
from config.settings import Settings
from worker.job import JOB
from worker.rq.job_ids import HASH_SIZE, NewJob, refs_of_id
from worker.rq.scripts import script

RESULT_TTL_S = 0
"""A finished flush is in our own history; a job kept for RQ's would cost memory and commands."""

FAILURE_TTL_S = 86_400
"""A failed job is a bug of ours (agents that fail are retried by the wake index): shown for a day."""

TIMEOUT_MARGIN_S = 120

POP_TIMEOUT_S = 10.0
"""A pop whose reply is given up strands its job until the wake index brings the conversation back."""

EMPTY_FOR_S = 0.25
"""How long a queue that was empty counts as empty: what others add meanwhile, they could add between two looks too."""

TRY_AGAIN_S = 0.5


class Dequeued(NamedTuple):
    """Jobs that are ours alone now; none when the queue is empty, or RQ is suspended."""

    suspended: bool
    job_ids: list[bytes]


class JobQueue:
    """The one queue of the flush jobs; every operation raises StoreUnavailable, StoreFull or StoreError.

    `connection` is for RQ's own classes, which block; `client` reaches the same server.
    """

    def __init__(self, settings: Settings, connection: redis.Redis, client: AsyncClient) -> None:
        self.rq = Queue(settings.rq_queue, connection=connection, serializer=JSONSerializer)
        self._line = Multiplexer(pool_of(client))
        self._pops = Multiplexer(pool_of(client), POP_TIMEOUT_S)
        self._timeout_s = math.ceil(settings.agent_timeout) + TIMEOUT_MARGIN_S
        self._fields = self._shared_fields()
        self._empty_at = -math.inf
        self._recovery: asyncio.Task[None] | None = None
        self.fails = False
        """Whether the server is away or refuses writes; what stands in the queue then may wait there for long."""

    async def queued(self) -> set[Ref]:
        """The references of all conversations with a job in the queue; one of each at the most."""
        with self._tracking_failures():
            return await self._queued()

    async def _queued(self) -> set[Ref]:
        if time.monotonic() < self._empty_at + EMPTY_FOR_S:
            return set()
        refs: set[Ref] = set()
        job_ids = await self._line.command("LRANGE", self.rq.key, 0, -1)
        for job_id in job_ids:
            with contextlib.suppress(ValueError):
                refs.update(refs_of_id(job_id.decode()))
        self._note_length(len(job_ids))
        return refs

    async def enqueue_and_dequeue(self, jobs: Sequence[NewJob], room: int) -> Dequeued:
        """Add jobs, then take those for `room` conversations that have waited longest; the last one may carry more."""
        args: list[Any] = [room, HASH_SIZE, 0]
        if jobs:
            at = utcformat(now())
            shared = self._fields | {"created_at": at, "enqueued_at": at}
            args[2:] = [2 * len(shared), *chain.from_iterable(shared.items())]
            for job_id, name, _ in jobs:
                args += (job_id, f"flush {name}", _data(name))
        with self._tracking_failures():
            suspended, left, *job_ids = await self._line.call(script("enqueue_dequeue"), self.rq.key, args)
        self._note_length(left)
        return Dequeued(bool(suspended), job_ids)

    async def pop(self, within_s: float) -> bytes | None:
        """Wait for one job and take it. To cancel this may strand the job."""
        held = self.rq.intermediate_queue_key
        with self._tracking_failures():
            popped: bytes | None = await self._pops.command("BLMOVE", self.rq.key, held, "LEFT", "RIGHT", within_s)
        return popped

    @contextlib.contextmanager
    def _tracking_failures(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            if not self.fails:
                self.fails = True
                self._recovery = asyncio.create_task(self._recover())
            raise

    async def _recover(self) -> None:
        """A server that answers may still refuse writes: try one that changes nothing."""
        while self.fails:
            await asyncio.sleep(TRY_AGAIN_S)
            with contextlib.suppress(StoreError):
                await self._line.command("SADD", self.rq.redis_queues_keys, self.rq.key)
                self.fails = False

    async def close(self) -> None:
        """Close the connections."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        await self._line.close()
        await self._pops.close()

    def _note_length(self, jobs: int) -> None:
        self._empty_at = -math.inf if jobs else time.monotonic()

    def _shared_fields(self) -> dict[str, Any]:
        """The fields of a job as RQ makes them, without those that each job has for itself."""
        made = self.rq.create_job(
            JOB, timeout=self._timeout_s, result_ttl=RESULT_TTL_S, failure_ttl=FAILURE_TTL_S, status=JobStatus.QUEUED
        )
        fields = {name: _plain(value) for name, value in made.to_dict().items()}
        del fields["data"], fields["description"]
        return fields


def _data(name: str) -> bytes:
    return zlib.compress(json.dumps((JOB, None, [name], {})).encode())


def _plain(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
