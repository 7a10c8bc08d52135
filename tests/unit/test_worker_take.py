"""Taking many jobs from RQ's queue with one command, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis.exceptions as rx

from tests.servers import Server
from worker.scripts import script
from worker.slices import HASH_SIZE

QUEUE, HELD = "take:queue", "take:queue:intermediate"
SINGLE, SLICE = "a" * HASH_SIZE, "b" * 3 * HASH_SIZE
JOBS = [f"0-{SINGLE}-1".encode(), f"12-{SLICE}-2".encode(), b"somebody-else", f"0-{SINGLE}-12".encode()]
"""Jobs of one conversation, of three, and one that is not ours."""


@pytest.fixture
def client(valkey: Server) -> Iterator[Any]:
    """A queue with four jobs."""
    with valkey.client() as client:
        client.rpush(QUEUE, *JOBS)
        yield client
        client.config_set("maxmemory", 0)
        client.delete(QUEUE, HELD, "rq:suspended")


def take(client: Any, room: int) -> Any:
    return client.eval(script("hand_over").source, 1, QUEUE, room, HASH_SIZE, 0)


@pytest.mark.parametrize(("room", "jobs"), [(1, 1), (2, 2), (4, 2), (5, 3), (6, 4), (9, 4)])
def test_the_first_are_taken_in_order(client: Any, room: int, jobs: int) -> None:
    """As many as there is room for are moved behind what is held already, as LMOVE would; the last may be too large."""
    client.rpush(HELD, b"z")
    assert take(client, room) == [0, len(JOBS) - jobs, *JOBS[:jobs]]
    assert client.lrange(HELD, 0, -1) == [b"z", *JOBS[:jobs]]
    assert client.lrange(QUEUE, 0, -1) == JOBS[jobs:]


def test_an_empty_queue(client: Any) -> None:
    """Nothing is taken, and nothing written."""
    client.delete(QUEUE)
    assert take(client, 8) == [0, 0]
    assert not client.exists(HELD)


def test_while_rq_is_suspended(client: Any) -> None:
    """Everything stays where it is."""
    client.set("rq:suspended", "1")
    assert take(client, 8) == [1, len(JOBS)]
    assert client.lrange(QUEUE, 0, -1) == JOBS
    assert not client.exists(HELD)


def test_a_full_server_loses_no_job(client: Any) -> None:
    """Its refusal comes before the first write."""
    client.config_set("maxmemory", 1)
    with pytest.raises(rx.OutOfMemoryError):
        take(client, 1)
    client.config_set("maxmemory", 0)
    assert client.lrange(QUEUE, 0, -1) == JOBS
    assert not client.exists(HELD)
