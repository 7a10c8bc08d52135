"""Adding jobs to RQ's queue and taking many with one command, on every kind of server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis.exceptions as rx

from tests.servers import Server
from worker.rq.job_ids import HASH_SIZE
from worker.rq.scripts import script

QUEUE, HELD = "take:queue:flush", "take:queue:flush:intermediate"
SINGLE, GROUP = "a" * HASH_SIZE, "b" * 3 * HASH_SIZE
JOBS = [f"0-{SINGLE}-1".encode(), f"12-{GROUP}-2".encode(), b"somebody-else", f"0-{SINGLE}-12".encode()]
"""Jobs of one conversation, of three, and one that is not ours."""

NEW = [f"1-{SINGLE}-20", f"1-{GROUP}-21"]


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """A queue with four jobs."""
    with server.client() as client:
        client.rpush(QUEUE, *JOBS)
        yield client
        client.config_set("maxmemory", 0)
        client.delete(QUEUE, HELD, "take:suspended", "take:queues", *(f"take:job:{job_id}" for job_id in NEW))


def take(client: Any, room: int) -> Any:
    return client.eval(script("enqueue_dequeue").source, 1, QUEUE, room, HASH_SIZE, 0)


def add(client: Any, room: int) -> Any:
    """Two jobs more, and take for so much room."""
    shared = ("status", "queued", "origin", "take")
    jobs = [(job_id, f"flush {job_id}", f"data of {job_id}") for job_id in NEW]
    words = [word for job in jobs for word in job]
    return client.eval(script("enqueue_dequeue").source, 1, QUEUE, room, HASH_SIZE, len(shared), *shared, *words)


@pytest.mark.parametrize(("room", "jobs"), [(1, 1), (2, 2), (4, 2), (5, 3), (6, 4), (9, 4)])
def test_the_first_are_taken_in_order(client: Any, room: int, jobs: int) -> None:
    """As many as there is room for are moved behind what is held already, as LMOVE would; the last may be too large."""
    client.rpush(HELD, b"z")
    assert take(client, room) == [0, len(JOBS) - jobs, *JOBS[:jobs]]
    assert client.lrange(HELD, 0, -1) == [b"z", *JOBS[:jobs]]
    assert client.lrange(QUEUE, 0, -1) == JOBS[jobs:]


def test_new_jobs_come_last(client: Any) -> None:
    """Those that were there are taken first; each new one has its own fields and those of all."""
    assert add(client, 5) == [0, 3, *JOBS[:3]]
    assert client.lrange(QUEUE, 0, -1) == [JOBS[3], *(job_id.encode() for job_id in NEW)]
    assert client.sismember("take:queues", QUEUE)
    for job_id in NEW:
        assert client.hgetall(f"take:job:{job_id}") == {
            b"status": b"queued",
            b"origin": b"take",
            b"description": f"flush {job_id}".encode(),
            b"data": f"data of {job_id}".encode(),
        }


def test_new_jobs_are_taken_at_once(client: Any) -> None:
    """Where nothing else waits, they are held before anybody else sees them in the queue."""
    client.delete(QUEUE)
    assert add(client, 4) == [0, 0, *(job_id.encode() for job_id in NEW)]
    assert client.lrange(HELD, 0, -1) == [job_id.encode() for job_id in NEW]


def test_without_room_they_wait(client: Any) -> None:
    """Nothing is taken."""
    assert add(client, 0) == [0, len(JOBS) + len(NEW)]
    assert not client.exists(HELD)


def test_an_empty_queue(client: Any) -> None:
    """Nothing is taken, and nothing written."""
    client.delete(QUEUE)
    assert take(client, 8) == [0, 0]
    assert not client.exists(HELD)


def test_while_rq_is_suspended(client: Any) -> None:
    """Everything stays where it is."""
    client.set("take:suspended", "1")
    assert take(client, 8) == [1, len(JOBS)]
    assert add(client, 8) == [1, len(JOBS) + len(NEW)]
    assert client.lrange(QUEUE, 0, -1) == [*JOBS, *(job_id.encode() for job_id in NEW)]
    assert not client.exists(HELD)


def test_a_full_server_takes_no_new_job_and_lets_the_others_go(client: Any) -> None:
    """New jobs are refused whole; what waits is taken, for its memory comes free only when it is done."""
    client.config_set("maxmemory", 1)
    with pytest.raises(rx.ResponseError, match="command not allowed when used memory"):
        add(client, 1)
    assert client.lrange(QUEUE, 0, -1) == JOBS
    assert take(client, 9) == [0, 0, *JOBS]
    assert client.lrange(HELD, 0, -1) == JOBS
    client.config_set("maxmemory", 0)
    assert not client.exists(QUEUE, "take:queues", *(f"take:job:{job_id}" for job_id in NEW))


def test_a_key_of_another_kind_is_left_alone(client: Any) -> None:
    """Nothing is written beside a queue that is no list."""
    client.delete(QUEUE)
    client.set(QUEUE, "x")
    with pytest.raises(rx.ResponseError, match="wrong kind of value"):
        add(client, 1)
    assert not client.exists("take:queues", *(f"take:job:{job_id}" for job_id in NEW))
