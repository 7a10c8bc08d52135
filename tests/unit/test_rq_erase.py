"""What an erase does to the jobs of RQ, on real servers: those of the person go, and no look brings them back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.cluster import ClusterNode, RedisCluster
from rq import Queue
from rq.executions import Execution
from rq.job import Job
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)

from buffer import upcoming
from buffer.errors import StoreUnavailable
from buffer.models import Conversation
from buffer.person_jobs import EXECUTIONS, JOB, LISTS, SORTED_SETS, WORKER, open_jobs
from buffer.person_store import People
from buffer.store import Store
from tests.integration.rq_view import contents
from tests.messages import message
from tests.servers import Server, free_port
from tests.unit.shower import ANA, Shower, append, client, failed, make_dead, open_shower
from worker.rq import projector
from worker.rq.job_ids import NewJob, letter_id, shown_id

__all__ = ["client", "open_shower"]


def test_keys(client: Any) -> None:
    """The names that an erase knows are those of RQ, and of our scripts."""
    queue = Queue("flush", connection=client)
    registries = (
        *(ScheduledJobRegistry, StartedJobRegistry, FinishedJobRegistry),
        *(FailedJobRegistry, DeferredJobRegistry, CanceledJobRegistry),
    )
    sorted_sets = {registry(queue=queue).key for registry in registries} | {"rq:queue:flush:finished"}
    assert {name.format("flush") for name in SORTED_SETS} == sorted_sets
    assert [name.format("flush") for name in LISTS] == [queue.key, queue.intermediate_queue_key]
    assert Job.key_for("x").encode() == JOB + b"x"
    executions = Execution("1", "x", client, worker_name="w").worker_executions_key.encode()
    assert executions == WORKER + b"w" + EXECUTIONS


def left(valkey: Server, store: Store, who: Conversation) -> list[bytes]:
    """The keys of RQ and of this test that have anything of a person."""
    word = store.ref(who).hash.encode()
    held = contents(valkey, "rq:*") | contents(valkey, f"{store.keys.prefix}:*")
    return [key for key, parts in held.items() if any(word in part for part in (key, *parts))]


async def list_everywhere(shower: Shower, client: Any) -> None:
    """Let RQ list jobs of ANA in every place, in a group with another person too."""
    store, queue = shower.store, Queue("flush", connection=client)
    ref, other = store.ref(ANA), store.ref(Conversation("evolution", "loja", "person-0"))
    group = NewJob(f"{other}{ref.hash}-8", f"{other}{ref.hash}", 2)
    await shower.queue.enqueue_and_dequeue([NewJob(f"{ref}-7", str(ref), 1)], 1)
    await shower.queue.enqueue_and_dequeue([group, NewJob(f"{other}-9", str(other), 1)], 0)
    job = Job.create("worker.job.flush", [str(ref)], id=f"{ref}-6", connection=client, origin="flush")
    with client.pipeline() as pipeline:
        job.save(pipeline=pipeline)
        Execution.create(job, 90, pipeline=pipeline, worker_name="w")
        pipeline.execute()
    for registry in (FinishedJobRegistry, DeferredJobRegistry, CanceledJobRegistry):
        client.zadd(registry(queue=queue).key, {job.id: time.time() + 500})
    client.zadd("rq:queue:flush:finished", {job.id: time.time() + 500})


async def test_every_place(open_shower: Callable[..., Shower], client: Any, valkey: Server) -> None:
    """Queued alone or in a group, taken, started, scheduled, finished or failed: all goes, and that of others stays."""
    shower = open_shower()
    (other,) = await append(shower.store, 1)
    await make_dead(shower.store, ANA.peer)
    await shower.store.append([message("m2", ANA)])
    await shower.projector.look()
    await list_everywhere(shower, client)
    await shower.store.append([message("m3", ANA)])
    await shower.projector.look()
    assert len(left(valkey, shower.store, ANA)) > len(LISTS)
    erased = await People(shower.store).erase(ANA)
    assert erased.jobs == 5
    assert left(valkey, shower.store, ANA) == []
    ref = shower.store.ref(other)
    assert client.lrange("rq:queue:flush", 0, -1) == [f"{ref}-9".encode()]
    assert client.exists(f"rq:job:{ref}-9")
    assert (await People(shower.store).erase(ANA)).jobs == 0


async def test_a_look_that_read_before_writes_nothing(
    open_shower: Callable[..., Shower], valkey: Server, monkeypatch: pytest.MonkeyPatch, client: Any
) -> None:
    """The erase comes between the reads and the writes of a look; the next look shows the others."""
    shower = open_shower()
    (other,) = await append(shower.store, 1)
    await make_dead(shower.store, ANA.peer)
    await shower.store.append([message("m2", ANA)])
    soonest = upcoming.soonest

    async def erased_after(store: Store, limit: int) -> Any:
        found = await soonest(store, limit)
        letters = await shower.projector._latest_letters()
        monkeypatch.setattr(shower.projector, "_latest_letters", lambda: given(letters))
        await People(store).erase(ANA)
        return found

    with monkeypatch.context() as context:
        context.setattr(projector, "soonest", erased_after)
        await shower.projector.look()
    assert left(valkey, shower.store, ANA) == []
    monkeypatch.undo()
    await shower.projector.look()
    assert left(valkey, shower.store, ANA) == []
    assert client.zrange("rq:scheduled:flush", 0, -1) == [shown_id(shower.store.ref(other)).encode()]


async def given(value: Any) -> Any:
    """Return the value."""
    return value


async def test_letters_are_read_anew(open_shower: Callable[..., Shower], client: Any) -> None:
    """A look that would use the dead letters of an earlier look reads them again after an erase."""
    shower = open_shower()
    await append(shower.store, 1)
    mine, others = await make_dead(shower.store, ANA.peer), await make_dead(shower.store, "person-7")
    await shower.projector.look()
    assert failed(client) == {letter_id(mine), letter_id(others)}
    await People(shower.store).erase(ANA)
    await shower.projector.look()
    assert failed(client) == {letter_id(others)}


async def test_a_full_server(open_shower: Callable[..., Shower], client: Any, valkey: Server) -> None:
    """RQ's server refuses writes that need memory: the jobs are deleted all the same."""
    shower = open_shower()
    await shower.store.append([message("m", ANA)])
    await shower.projector.look()
    try:
        client.config_set("maxmemory", 1)
        erased = await People(shower.store).erase(ANA)
    finally:
        client.config_set("maxmemory", 0)
    assert erased.jobs == 1
    assert left(valkey, shower.store, ANA) == []


async def test_the_server_of_rq_is_away(valkey: Server, open_store: Callable[..., Store]) -> None:
    """Nothing is erased before it answers, and the error names the setting."""
    store = open_store(valkey, rq_redis_url=f"redis://127.0.0.1:{free_port()}/0")
    await store.append([message("m", ANA)])
    with pytest.raises(StoreUnavailable, match=r"RQ_REDIS_URL.* nothing was erased"):
        await People(store).erase(ANA)
    assert await People(store).look(store.ref(ANA)) is not None


async def test_it_goes_away_on_the_way(valkey: Server, open_store: Callable[..., Store]) -> None:
    """The error says that jobs may be left."""
    store = open_store(valkey)
    async with open_jobs(store) as jobs:
        jobs._client = redis.asyncio.Redis(port=free_port())
        with pytest.raises(StoreUnavailable, match="jobs may be left"):
            await jobs.delete(["x" * 16])


async def test_a_cluster_without_a_server_for_rq(valkey: Server, open_store: Callable[..., Store]) -> None:
    """RQ cannot be in a cluster: without RQ_REDIS_URL nobody knows where its jobs are."""
    settings = open_store(valkey).settings
    store = Store(RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", free_port())]), settings)
    with pytest.raises(StoreUnavailable, match="RQ_REDIS_URL is not set"):
        async with open_jobs(store):
            pass
