"""What an operator sees of the buffer in RQ's registries."""

from __future__ import annotations

import contextlib
import zlib
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from rq.job import Job
from rq.registry import BaseRegistry, FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from tests.integration.deployment import Deployment
from tests.integration.rq_operator import queue_of
from tests.servers import Server

SCHEDULED, STARTED, FINISHED, FAILED = (
    ScheduledJobRegistry,
    StartedJobRegistry,
    FinishedJobRegistry,
    FailedJobRegistry,
)


def jobs_in(deployment: Deployment, registry: type[BaseRegistry]) -> list[Job]:
    """The jobs of a registry, as a dashboard reads them."""
    ids = registry(queue=queue_of(deployment)).get_job_ids()
    return [job for job in Job.fetch_many(ids, deployment.redis, serializer=JSONSerializer) if job is not None]


def texts_in(deployment: Deployment, registry: type[BaseRegistry]) -> list[str]:
    """The descriptions of the jobs of a registry."""
    return [str(job.description) for job in jobs_in(deployment, registry)]


def due_s(deployment: Deployment, job: Job) -> float:
    """When a scheduled job is due."""
    registry = ScheduledJobRegistry(queue=queue_of(deployment))
    return float(deployment.redis.zscore(registry.key, job.id))


def everything_in_rq(deployment: Deployment) -> str:
    """All keys of RQ with all that they hold, unpacked."""
    held = contents(deployment.server, "rq:*")
    return "\n".join(part.decode("utf-8", "replace") for key, parts in held.items() for part in (key, *parts))


def contents(server: Server, pattern: str = "*") -> dict[bytes, list[bytes]]:
    """The keys of a server with all that they hold: as it is stored, and unpacked where RQ packs it."""
    with server.client() as client:
        keys = list(client.scan_iter(pattern))
        return {key: [part for word in _words(client, key) for part in (word, *_unpacked(word))] for key in keys}


def _words(client: Any, key: bytes) -> Iterator[bytes]:
    kind = client.type(key)
    if kind == b"hash":
        yield from (word for pair in client.hgetall(key).items() for word in pair)
    elif kind == b"stream":
        yield from (word for _, fields in client.xrange(key) for pair in fields.items() for word in pair)
    elif kind == b"zset":
        yield from client.zrange(key, 0, -1)
    elif kind == b"list":
        yield from client.lrange(key, 0, -1)
    elif kind == b"set":
        yield from client.smembers(key)
    elif kind == b"string":
        yield client.get(key) or b""


def _unpacked(word: bytes) -> Iterator[bytes]:
    for unpack in (zlib.decompress, lambda packed: zlib.decompress(b64decode(packed))):
        with contextlib.suppress(zlib.error, ValueError):
            yield unpack(word)
