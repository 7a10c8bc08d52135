"""The numbers of RQ's queue are those that RQ itself and the worker's own reading give."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
import redis
from rq import Queue, SimpleWorker
from rq.utils import now, utcformat

from buffer.transport.clients import AsyncClient, connect
from tests.servers import Server
from webhook.metrics import queue as metrics_queue
from webhook.metrics.queue import QueueState, read_queue
from worker.rq import heartbeats
from worker.rq.heartbeats import live_worker_hosts

pytestmark = pytest.mark.server
NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture
def connection(valkey: Server) -> Iterator[redis.Redis]:
    with valkey.client() as connection:
        yield connection


@pytest.fixture
async def client(valkey: Server) -> AsyncIterator[AsyncClient]:
    client = connect(valkey.url, timeout_s=20.0)
    yield client
    await client.aclose()


def start(queue: Queue, name: str, age_s: int = 0) -> None:
    """Register a worker as RQ does, with a heartbeat of this age."""
    worker = SimpleWorker([queue], name=name, connection=queue.connection)
    worker.register_birth()
    beat = utcformat(now() - timedelta(seconds=age_s))
    queue.connection.hset(worker.key, mapping={"last_heartbeat": beat, "hostname": name})


async def test_it_reads_what_rq_writes(connection: redis.Redis, client: AsyncClient, prefix: str):
    """The jobs that RQ enqueued, and of its workers those with a recent heartbeat."""
    queue = Queue(prefix, connection=connection)
    assert await read_queue(client, prefix) == QueueState(0, 0)
    for _ in range(3):
        queue.enqueue("math.floor", 1.5)
    start(queue, f"{prefix}-a")
    start(queue, f"{prefix}-b", age_s=59)
    start(queue, f"{prefix}-c", age_s=61)
    assert await read_queue(client, prefix) == QueueState(3, 2)
    assert len(await live_worker_hosts(client, prefix)) == 2


async def test_no_answer_is_none():
    """A Redis that is away gives no numbers, and no error either."""
    client = connect(NOWHERE, timeout_s=1.0)
    assert await read_queue(client, "flush") is None
    await client.aclose()


async def test_foreign_keys_are_none(connection: redis.Redis, client: AsyncClient, prefix: str):
    """A key of another type under RQ's name gives no numbers."""
    connection.set(metrics_queue.QUEUE_KEY.format(prefix), "odd")
    assert await read_queue(client, prefix) is None


def test_the_age_is_that_of_the_health_check():
    """`debouncer health` and the metric agree on which worker is alive."""
    assert metrics_queue.HEARTBEAT_AGE_MAX == heartbeats.HEARTBEAT_AGE_MAX
