"""Sentinel: when it makes a replica the primary, the store finds it by itself and goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from buffer.keys import Ref
from buffer.models import Conversation
from buffer.retry import retry_unavailable
from buffer.store import Store
from buffer.transport.clients import connect, connect_sync
from config.settings import Settings
from tests.integration.polling import until
from tests.messages import message
from tests.replicas import follow
from tests.servers import Server, free_port, require_binary
from worker.rq.job_ids import NewJob
from worker.rq.queue import JobQueue

ANA = Conversation("generic", "loja", "ana")
DOWN_AFTER_MS = 300
FAILOVER_WITHIN_S = 40.0

CONFIG = """
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor main 127.0.0.1 {primary} 1
sentinel down-after-milliseconds main {down_after_ms}
sentinel failover-timeout main 2000
"""


@pytest.fixture
def start_sentinel(tmp_path: Path) -> Iterator[Callable[[Server], int]]:
    """Start a Sentinel that watches a primary; gives its port once it knows the replica."""
    started: list[subprocess.Popen[bytes]] = []

    def start(primary: Server) -> int:
        port, file = free_port(), tmp_path / "sentinel.conf"
        file.write_text(CONFIG.format(port=port, folder=tmp_path, primary=primary.port, down_after_ms=DOWN_AFTER_MS))
        command = [require_binary("valkey"), str(file), "--sentinel"]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until("Sentinel knows the replica", lambda: knows_a_replica(port))
        return port

    yield start
    for one in started:
        one.kill()
        one.wait()


def knows_a_replica(port: int) -> bool:
    """Whether a Sentinel has found a replica that it can promote."""
    try:
        with redis.Redis(port=port) as sentinel:
            found = sentinel.sentinel_slaves("main")
            return any(replica["flags"] == "slave" and replica["master-link-status"] == "ok" for replica in found)
    except redis.RedisError:
        return False


class Watched(NamedTuple):
    """A primary and its replica, and the URL of the Sentinel that watches them."""

    primary: Server
    replica: Server
    url: str

    def lose_primary(self) -> None:
        """Kill it, once the replica has everything."""
        with self.primary.client() as client:
            until("the replica has it", lambda: client.wait(1, 1000) == 1)
        self.primary.kill()


@pytest.fixture
def watched(start_server: Callable[..., Server], start_sentinel: Callable[[Server], int]) -> Watched:
    """Two servers under a Sentinel."""
    primary, replica = start_server(), start_server()
    follow(replica, primary)
    return Watched(primary, replica, f"redis+sentinel://127.0.0.1:{start_sentinel(primary)}/main")


async def test_a_failover_is_followed(watched: Watched, make_settings: Callable[..., Settings]) -> None:
    """What was stored before the primary died is known to its successor, which takes what comes after it."""
    store = Store(connect(watched.url, timeout_s=1.0), make_settings())
    assert [one.status for one in await store.append([message("m1", ANA)])] == ["new"]
    watched.lose_primary()
    after = await retry_unavailable(lambda: store.append([message("m1", ANA), message("m2", ANA)]), FAILOVER_WITHIN_S)
    await store.close()
    assert [(one.status, one.depth) for one in after] == [("duplicate", 1), ("new", 2)]
    with watched.replica.client() as client:
        assert client.info("replication")["role"] == "master"


JOBS = [NewJob(f"0-{number:016x}-1", f"0-{number:016x}", 1) for number in range(3)]


async def test_the_queue_follows_too(watched: Watched, make_settings: Callable[..., Settings]) -> None:
    """Jobs are taken, popped and added on the successor, by connections that were open to the one that died."""
    client = connect(watched.url, timeout_s=1.0)
    queue = JobQueue(make_settings(), connect_sync(watched.url), client)
    await queue.enqueue_and_dequeue(JOBS, 0)
    assert await queue.pop(1) == JOBS[0].job_id.encode()
    watched.lose_primary()
    popped = await retry_unavailable(lambda: queue.pop(1), FAILOVER_WITHIN_S)
    taken = await retry_unavailable(lambda: queue.enqueue_and_dequeue((), 9), FAILOVER_WITHIN_S)
    assert [popped, *taken.job_ids] == [job.job_id.encode() for job in JOBS[1:]]
    await queue.enqueue_and_dequeue(JOBS[:1], 0)
    assert await queue.queued() == {Ref.parse(JOBS[0].argument)}
    await queue.close()
    await client.aclose()
