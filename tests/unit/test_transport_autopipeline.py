"""autopipeline: script calls of one loop iteration share a pipeline; retries; the meaning of redis-py's errors."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.exceptions as rx

from buffer.errors import ConversationBroken, StoreError, StoreFull, StoreUnavailable, store_error
from buffer.models import Conversation
from buffer.retry import retry_unavailable
from buffer.store import Store
from buffer.transport.autopipeline import PIPELINE_MAX_CALLS
from buffer.transport.clients import connect
from tests.messages import message
from tests.servers import Server

ANA = Conversation("generic", "loja", "ana")


async def test_calls_of_one_iteration_share_a_connection(start_server, open_store):
    """A thousand calls at once need few connections: they share pipelines."""
    server = start_server()
    store = open_store(server)
    await store.load_scripts()
    people = [ANA._replace(peer=f"p{i}") for i in range(2 * PIPELINE_MAX_CALLS)]
    appended = await asyncio.gather(*(store.append([message("m1", who)]) for who in people))
    assert {results[0].status for results in appended} == {"new"}
    assert (await store.client.info("clients"))["connected_clients"] <= 4


async def test_calls_keep_their_replies(store: Store):
    """Each caller gets the reply to its own call, also among calls that fail."""
    await store.client.set(store.keys.of(0, "buffer", store.ref(ANA).hash), "not a list")
    people = [ANA._replace(peer=f"p{i}") for i in range(20)]
    results: list[Any] = await asyncio.gather(
        *(store.append([message("m1", who)]) for who in people),
        store.revoke(ANA, b"f" * 8),
        *(store.append([message("m1", who)]) for who in people),
        return_exceptions=True,
    )
    assert [r[0].depth for r in results[:20]] == [1] * 20
    assert isinstance(results[20], ConversationBroken)
    assert [r[0].status for r in results[21:]] == ["duplicate"] * 20


async def test_caller_that_gave_up(store: Store):
    """A cancelled caller does not disturb the others; its call may have happened."""
    calls = [asyncio.ensure_future(store.append([message(f"m{i}", ANA)])) for i in range(10)]
    await asyncio.sleep(0)
    calls[3].cancel()
    results: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[3], asyncio.CancelledError)
    assert all(results[i][0].status == "new" for i in range(10) if i != 3)
    assert (await store.append([message("m99", ANA)]))[0].status == "new"


async def test_frozen_server(start_server, make_settings):
    """A server that accepts but never answers is unavailable after the client's time, for every caller."""
    server = start_server()
    store = Store(connect(server.url, timeout_s=0.2), make_settings())
    await store.append([message("m1", ANA)])
    server.freeze()
    try:
        results = await asyncio.gather(
            *(store.append([message(f"n{i}", ANA)]) for i in range(5)), return_exceptions=True
        )
    finally:
        server.thaw()
    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert (await retry_unavailable(lambda: store.append([message("m2", ANA)]), 10))[0].status == "new"
    await store.close()


async def test_nobody_listens(make_settings):
    """A server that is not there is unavailable at once."""
    store = Store(connect("redis://127.0.0.1:1/0", timeout_s=1), make_settings())
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await store.append([message("m1", ANA)])
    await store.close()


async def test_retry_gives_up(make_settings):
    """Retrying ends after its timeout, with the last error."""
    store = Store(connect("redis://127.0.0.1:1/0", timeout_s=1), make_settings())
    with pytest.raises(StoreUnavailable):
        await retry_unavailable(lambda: store.append([message("m1", ANA)]), 0.2)
    await store.close()


async def test_retry_repeats_what_may_be_repeated(store: Store):
    """An operation that was unavailable twice and then worked is one success; another error is not repeated."""
    outcomes: list[Exception | None] = [StoreUnavailable(), StoreUnavailable(), None]

    async def operation() -> str:
        if error := outcomes.pop(0):
            raise error
        return "done"

    assert await retry_unavailable(operation, 60) == "done"
    outcomes = [StoreFull()]
    with pytest.raises(StoreFull):
        await retry_unavailable(operation, 60)


async def test_two_stores_on_one_server(valkey: Server, open_store):
    """Two processes with the same prefix see the same conversations."""
    one, two = open_store(valkey), open_store(valkey)
    await one.append([message("m1", ANA)])
    assert (await two.append([message("m1", ANA)]))[0].status == "duplicate"


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (rx.ConnectionError("refused"), StoreUnavailable),
        (rx.TimeoutError(), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (OSError("broken pipe"), StoreUnavailable),
        (rx.BusyLoadingError("Redis is loading the dataset in memory"), StoreUnavailable),
        (rx.ReadOnlyError("You can't write against a read only replica."), StoreUnavailable),
        (rx.ClusterDownError("Hash slot not served"), StoreUnavailable),
        (rx.TryAgainError("Multiple keys request during rehashing of slot"), StoreUnavailable),
        (rx.RedisClusterException("Redis Cluster cannot be connected"), StoreUnavailable),
        (rx.ResponseError("NOREPLICAS Not enough good replicas to write."), StoreUnavailable),
        (rx.ResponseError("MISCONF Errors writing to the AOF file"), StoreUnavailable),
        (rx.ResponseError("BUSY Redis is busy running a script."), StoreUnavailable),
        (rx.ResponseError("BROKEN the key d:{p0}:conv:x has another type"), ConversationBroken),
        (rx.ResponseError("Error running script: @user_script: 44: -READONLY You can't write"), StoreUnavailable),
        (rx.OutOfMemoryError("OOM command not allowed when used memory > 'maxmemory'."), StoreFull),
        (rx.ResponseError("Error running script: -OOM command not allowed when used memory"), StoreFull),
        (rx.ResponseError("WRONGTYPE Operation against a key"), StoreError),
        (rx.NoPermissionError("this user has no permissions to run 'evalsha'"), StoreError),
        (rx.ResponseError("a READONLY in mid-sentence is no code"), StoreError),
    ],
)
def test_meaning_of_an_error(error: Exception, meaning: type[StoreError]):
    """Unavailable, full or broken: callers treat the three differently."""
    assert type(store_error(error)) is meaning


def test_error_is_a_sentence():
    """An error without words of its own still says what happened and what to do."""
    assert "nothing was accepted, try again" in str(store_error(TimeoutError()))
    assert "refused" in str(store_error(rx.ConnectionError("refused")))


@pytest.mark.parametrize("partitions", [1, 2])
async def test_send_append(valkey: Server, open_store, partitions: int):
    """It gives the same results as `append`, also when repeated; several partitions are left to `append`."""
    store = open_store(valkey, redis_partitions=partitions)
    messages = [message(f"m{n}", ANA._replace(channel=f"loja {n}")) for n in range(20)]
    results = asyncio.get_running_loop().create_future()
    assert not store.send_append(messages, results)
    first = await store.append(messages)
    assert store.send_append(messages, results) == (partitions == 1)
    if partitions == 1:
        assert await results == first
