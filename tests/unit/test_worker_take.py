"""Taking many jobs from RQ's queue with one command, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis.exceptions as rx

from tests.servers import Server
from worker.flush_worker import TAKE

QUEUE, HELD = "take:queue", "take:held"
JOBS = [b"a", b"b", b"c", b"d"]


@pytest.fixture
def client(valkey: Server) -> Iterator[Any]:
    """A queue with four jobs."""
    with valkey.client() as client:
        client.rpush(QUEUE, *JOBS)
        yield client
        client.config_set("maxmemory", 0)
        client.delete(QUEUE, HELD)


@pytest.mark.parametrize("room", [1, 3, 4, 9])
def test_the_first_are_taken_in_order(client: Any, room: int) -> None:
    """As many as there is room for are moved behind what is held already, as LMOVE would."""
    client.rpush(HELD, b"z")
    assert client.eval(TAKE, 2, QUEUE, HELD, room - 1) == JOBS[:room]
    assert client.lrange(HELD, 0, -1) == [b"z", *JOBS[:room]]
    assert client.lrange(QUEUE, 0, -1) == JOBS[room:]


def test_an_empty_queue(client: Any) -> None:
    """Nothing is taken, and nothing written."""
    client.delete(QUEUE)
    assert client.eval(TAKE, 2, QUEUE, HELD, 8) == []
    assert not client.exists(HELD)


def test_a_full_server_loses_no_job(client: Any) -> None:
    """Its refusal comes before the first write."""
    client.config_set("maxmemory", 1)
    with pytest.raises(rx.OutOfMemoryError):
        client.eval(TAKE, 2, QUEUE, HELD, 1)
    client.config_set("maxmemory", 0)
    assert client.lrange(QUEUE, 0, -1) == JOBS
    assert not client.exists(HELD)
