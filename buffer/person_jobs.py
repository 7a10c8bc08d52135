"""Deletes a person's jobs from RQ's Redis, whether or not a worker runs.

Only worker/rq/ imports RQ. The names of its keys stand here once more, and tests/unit/test_rq_erase.py compares them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from buffer.errors import StoreUnavailable
from buffer.store import Store
from buffer.transport.clients import AsyncClient, connect

LISTS = ("rq:queue:{}", "rq:queue:{}:intermediate")
REGISTRIES = ("scheduled", "wip", "finished", "failed", "deferred", "canceled")
SORTED_SETS = (*(f"rq:{registry}:{{}}" for registry in REGISTRIES), "rq:queue:{}:finished")
"""Where a queue lists its jobs. An entry is the id of a job; in `wip` the id of an execution follows."""

JOB, WORKER, EXECUTIONS = b"rq:job:", b"rq:worker:", b":executions"
"""Begin the keys of jobs and of workers, and end those that list the executions of a worker."""

SHOWN_BY = "rq:queue:{}:shown-by"
"""The lease of the worker that shows pending flushes (worker/rq/lua/shown.lua), which writes nothing without it."""

TIMEOUT_S = 2.0
STEP = 500
"""Entries or keys that one ZSCAN or SCAN looks at."""


class PersonJobs:
    """The jobs of a queue. Their ids contain the hashes of the conversations that they carry."""

    def __init__(self, client: AsyncClient, queue: str, url_name: str) -> None:
        self._client = client
        self._queue = queue
        self._url_name = url_name

    async def check(self) -> None:
        """Raise StoreUnavailable if RQ's Redis does not answer."""
        try:
            await self._client.ping()
        except (RedisError, OSError) as error:
            raise self._unavailable(error, "nothing was erased; try again") from error

    async def delete(self, names: Collection[str]) -> int:
        """Delete the jobs of conversations with these hashes, and their entries. Returns how many jobs there were.

        A group that carries other people too is deleted as a whole: the wake index brings the others back.
        Raises StoreUnavailable.
        """
        hashes = [name.encode() for name in names]
        try:
            await self._client.delete(SHOWN_BY.format(self._queue))  # what that worker has read may be of before
            await self._delete_entries(hashes)
            return await self._delete_keys(hashes)
        except (RedisError, OSError) as error:
            raise self._unavailable(error, "jobs may be left there, the rest is erased; try again") from error

    def _unavailable(self, error: BaseException, rest: str) -> StoreUnavailable:
        return StoreUnavailable(f"the Redis of RQ ({self._url_name}) does not answer: {error}; {rest}")

    async def _delete_entries(self, hashes: Collection[bytes]) -> None:
        client: Any = self._client  # its types tell nothing of the replies
        for key in (name.format(self._queue) for name in LISTS):
            for entry in _theirs(await client.lrange(key, 0, -1), hashes):
                await client.lrem(key, 0, entry)
        for key in (name.format(self._queue) for name in SORTED_SETS):
            found = [entry async for entry, _ in client.zscan_iter(key, count=STEP)]
            for entry in _theirs(found, hashes):
                await client.zrem(key, entry)

    async def _delete_keys(self, hashes: Collection[bytes]) -> int:
        client: Any = self._client
        jobs = set()
        async for key in client.scan_iter(match="rq:*", count=STEP):
            if _theirs([key], hashes):
                await client.unlink(key)
                jobs |= {key} if key.startswith(JOB) else set()
            elif key.startswith(WORKER) and key.endswith(EXECUTIONS):
                for entry in _theirs(await client.smembers(key), hashes):
                    await client.srem(key, entry)
        return len(jobs)


def _theirs(entries: Collection[bytes], hashes: Collection[bytes]) -> list[bytes]:
    return [entry for entry in entries if any(one in entry for one in hashes)]


@asynccontextmanager
async def open_jobs(store: Store) -> AsyncIterator[PersonJobs]:
    """Connect to RQ's Redis, which may be that of the store. Raises StoreUnavailable if the settings do not name it."""
    settings = store.settings
    url, name = settings.rq_redis_url, "RQ_REDIS_URL" if settings.rq_redis_url else "REDIS_URL"
    if url is None and isinstance(store.client, RedisCluster):
        raise StoreUnavailable(
            "RQ_REDIS_URL is not set, and RQ's jobs are not in a cluster; nothing was erased, set it"
        )
    if url in (None, settings.redis_url):
        yield PersonJobs(store.client, settings.rq_queue, name)
        return
    client = connect(url, timeout_s=TIMEOUT_S)
    try:
        yield PersonJobs(client, settings.rq_queue, name)
    finally:
        await client.aclose()
