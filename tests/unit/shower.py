"""A projector on a real server, and what it shows: for the tests of RQ's view and of erases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from buffer.models import Conversation
from buffer.store import Store
from tests.messages import message
from tests.servers import Server
from worker.rq.projector import Projector
from worker.rq.queue import JobQueue

ANA = Conversation("evolution", "loja", "5511900000061")


@pytest.fixture
def client(valkey: Server) -> Iterator[Any]:
    """A client of a server that holds nothing of RQ."""
    with valkey.client() as client:
        for key in client.scan_iter("rq:*"):
            client.delete(key)
        yield client
        for key in client.scan_iter("rq:*"):
            client.delete(key)


class Shower:
    """A projector with its store and queue. `written` has the jobs of each call of show.lua, as (removed, written)."""

    def __init__(self, store: Store, queue: JobQueue, name: str) -> None:
        self.store = store
        self.queue = queue
        self.projector = Projector(store, queue, store.client, name)
        self.written: list[tuple[int, int]] = []
        show = self.projector._show

        async def noting(shared: list[Any], gone: Any, new: Any) -> None:
            self.written.append((len(gone), len(new)))
            await show(shared, gone, new)

        self.projector._show = noting  # type: ignore[method-assign]


@pytest.fixture
async def open_shower(
    valkey: Server, client: Any, open_store: Callable[..., Store]
) -> AsyncIterator[Callable[..., Shower]]:
    """Make a projector of a worker with a name."""
    opened: list[Shower] = []

    def make(name: str = "worker-1", **settings: object) -> Shower:
        store = open_store(valkey, **settings)
        opened.append(Shower(store, JobQueue(store.settings, client, store.client), name))
        return opened[-1]

    yield make
    for one in opened:
        await one.projector.close()
        await one.queue.close()


async def append(store: Store, count: int) -> list[Conversation]:
    """Open the bursts of this many people."""
    people = [Conversation("evolution", "loja", f"person-{number}") for number in range(count)]
    await store.append([message("m", one) for one in people])
    return people


def failed(client: Any) -> set[str]:
    """The ids in the failed registry."""
    return {name.decode() for name in client.zrange("rq:failed:flush", 0, -1)}


async def make_dead(store: Store, peer: str) -> str:
    """Make a dead letter. Returns its flush_id."""
    to = Conversation("evolution", "loja", peer)
    await store.append([message("m", to)])
    await store.flush_now(to)
    batch = (await store.claim(store.ref(to), "w1")).batch
    assert batch is not None
    await store.fail(store.ref(to), batch.token, "no", delay_ms=0, dead=True)
    store._clock.advance(1)  # type: ignore[union-attr]
    return batch.flush_id
