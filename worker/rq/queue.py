"""The RQ queue: adds jobs, takes jobs, and says how full it is.

RQ's own `enqueue_many` takes 120 us for each job, in a thread, and no flush starts before it has written all of them.
The jobs here differ in a few fields. RQ makes the shared fields once, and scripts write and take many jobs in one call.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import redis
from rq import Queue
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.transport.clients import AsyncClient, pool_of
from buffer.transport.multiplexer import Multiplexer
from config.settings import Settings
from worker.rq.job_fields import packed_call, shared_fields
from worker.rq.job_ids import HASH_SIZE, JOB_FUNCTION, NewJob, refs_of_id
from worker.rq.scripts import script

TIMEOUT_MARGIN_S = 120
"""Added to AGENT_TIMEOUT for the time after which a stock worker ends a job."""

POP_TIMEOUT_S = 10.0
"""Reply timeout of a pop. The job of a pop that times out is stranded until the wake index brings its conversations
back."""

EMPTY_FOR_S = 0.25
"""How long a queue that was empty counts as empty. A job that another process adds within this time is not counted, as
a job that is added between two reads would not be."""

RECOVERY_CHECK_S = 0.5


class Dequeued(NamedTuple):
    """Jobs that were moved to the intermediate queue for this worker. Empty if there were none or RQ is suspended."""

    suspended: bool
    job_ids: list[bytes]


class JobQueue:
    """The queue of the flush jobs. Every operation raises StoreUnavailable, StoreFull or StoreError.

    `connection` is for RQ's own classes, which block; `client` reaches the same server.
    """

    def __init__(self, settings: Settings, connection: redis.Redis, client: AsyncClient) -> None:
        self.rq = Queue(settings.rq_queue, connection=connection, serializer=JSONSerializer)
        self._commands = Multiplexer(pool_of(client))
        self._pops = Multiplexer(pool_of(client), POP_TIMEOUT_S)
        self._timeout_s = math.ceil(settings.agent_timeout) + TIMEOUT_MARGIN_S
        self.fields = shared_fields(self.rq, self._timeout_s)
        self._empty_at = -math.inf
        self._recovery: asyncio.Task[None] | None = None
        self.fails = False
        """True while the server is away or refuses writes. Jobs in the queue may then wait for long."""

    async def queued(self) -> set[Ref]:
        """Return the references of all conversations that have a job in the queue. Each has at most one."""
        with self._tracking_failures():
            return await self._queued()

    async def _queued(self) -> set[Ref]:
        if time.monotonic() < self._empty_at + EMPTY_FOR_S:
            return set()
        refs: set[Ref] = set()
        job_ids = await self._commands.command("LRANGE", self.rq.key, 0, -1)
        for job_id in job_ids:
            with contextlib.suppress(ValueError):
                refs.update(refs_of_id(job_id.decode()))
        self._note_length(len(job_ids))
        return refs

    async def enqueue_and_dequeue(self, jobs: Sequence[NewJob], room: int) -> Dequeued:
        """Add jobs, then take the oldest jobs of the queue for `room` conversations. The last one may carry more."""
        args: list[Any] = [room, HASH_SIZE, 0]
        if jobs:
            at = utcformat(now())
            shared = self.fields | {"created_at": at, "enqueued_at": at}
            args[2:] = [2 * len(shared), *chain.from_iterable(shared.items())]
            for job_id, argument, size in jobs:
                text = f"flush {argument}" if size == 1 else f"{size} conversations"
                args += (job_id, text, packed_call(JOB_FUNCTION, argument))
        with self._tracking_failures():
            suspended, left, *job_ids = await self._commands.call(script("enqueue_dequeue"), self.rq.key, args)
        self._note_length(left)
        return Dequeued(bool(suspended), job_ids)

    async def pop(self, within_s: float) -> bytes | None:
        """Wait up to `within_s` for one job and take it. Cancelling this call may strand the job."""
        taken = self.rq.intermediate_queue_key
        with self._tracking_failures():
            popped: bytes | None = await self._pops.command("BLMOVE", self.rq.key, taken, "LEFT", "RIGHT", within_s)
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
        """Try a write that changes nothing until it succeeds. A server that answers may still refuse writes."""
        while self.fails:
            await asyncio.sleep(RECOVERY_CHECK_S)
            with contextlib.suppress(StoreError):
                await self._commands.command("SADD", self.rq.redis_queues_keys, self.rq.key)
                self.fails = False

    async def close(self) -> None:
        """Close the connections."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        await self._commands.close()
        await self._pops.close()

    def _note_length(self, jobs: int) -> None:
        self._empty_at = -math.inf if jobs else time.monotonic()
