"""durability: nothing is confirmed before a replica or the disk has it, also not what is repeated elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from buffer.errors import ConversationBroken, NotDurable, StoreUnavailable
from buffer.models import Change, Conversation
from buffer.retry import retry_unavailable
from buffer.store import Store
from buffer.transport.autopipeline import PIPELINES_IN_FLIGHT_MAX
from tests.integration.polling import until
from tests.messages import message
from tests.replicas import follow
from tests.servers import KINDS, Server

ANA = Conversation("generic", "loja", "ana")
BIA = ANA._replace(peer="bia")
REQUEST = message("m1", ANA, nonce=b"aaaa")
SHORT: dict[str, object] = {"durability_timeout": 0.1}
REPLICA: dict[str, object] = {"durability": "replica", **SHORT}
DISK: dict[str, object] = {"durability": "disk", **SHORT}
ALWAYS = {"appendonly": "yes", "appendfsync": "always"}
HEALS_WITHIN_S = 20.0

T = TypeVar("T")


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, start_server: Callable[..., Server]) -> Iterator[tuple[Server, Server]]:
    """A primary and its replica, for this test alone."""
    primary, replica = start_server(request.param), start_server(request.param)
    follow(replica, primary)
    yield primary, replica
    replica.thaw()


@pytest.fixture
def disk(start_server: Callable[..., Server]) -> Server:
    """A server that syncs every write; with 100 keys, of which a rewrite of its file can be made to take long."""
    server = start_server(no_appendfsync_on_rewrite="yes", **ALWAYS)
    with server.client() as client:
        client.mset({f"other-{number}": "x" for number in range(100)})
    return server


async def append(store: Store) -> object:
    return await store.append([REQUEST])


async def append_again(store: Store) -> object:
    return await store.append([message("m1", ANA)])


async def edit(store: Store) -> object:
    return await store.edit(ANA, Change(REQUEST.fingerprint, 5, b"{}"))


async def revoke(store: Store) -> object:
    return await store.revoke(ANA, REQUEST.fingerprint)


async def test_append_waits_for_a_replica(pair, open_store):
    """While the replica stands still nothing is confirmed; afterwards the same request answers as the first time."""
    primary, replica = pair
    store = open_store(primary, **REPLICA)
    replica.freeze()
    with pytest.raises(StoreUnavailable, match=r"DURABILITY=replica: no replica .* within DURABILITY_TIMEOUT"):
        await store.append([REQUEST])
    replica.thaw()
    assert [(a.status, a.depth) for a in await confirmed(lambda: store.append([REQUEST]))] == [("new", 1)]
    with replica.client() as client:
        assert client.llen(store.keys.of(0, "buffer", store.ref(ANA).hash)) == 1


async def test_what_was_not_confirmed_is_not_repeated_here(pair, open_store):
    """NotDurable is not retried: the gateway gets it after one DURABILITY_TIMEOUT and sends the message again."""
    primary, replica = pair
    store = open_store(primary, **REPLICA)
    await store.load_scripts()
    replica.freeze()
    with pytest.raises(NotDurable):
        await retry_unavailable(lambda: append(store), HEALS_WITHIN_S)
    assert await waits(store) == 1


REPEATED = {
    "resend": (append, append),
    "redelivery": (append, append_again),
    "edit": (edit, edit),
    "revoke": (revoke, revoke),
    "edit after revoke": (revoke, edit),
}


@pytest.mark.parametrize("repeated", REPEATED)
async def test_a_repetition_is_not_confirmed_before_its_original(pair, open_store, repeated: str):
    """Another connection, on which nothing was written before, waits for the original too."""
    primary, replica = pair
    first, second = REPEATED[repeated]
    one, other = open_store(primary, **REPLICA), open_store(primary, **REPLICA)
    replica.freeze()
    with pytest.raises(StoreUnavailable):
        await first(one)
    with pytest.raises(StoreUnavailable):
        await second(other)
    replica.thaw()
    await confirmed(lambda: second(other))
    with replica.client() as copy, primary.client() as original:
        keys = original.keys("*")
        assert sorted(copy.keys("*")) == sorted(keys)


async def test_calls_of_one_turn_share_a_wait(pair, open_store):
    """A hundred appends share one wait, and each gets its own result."""
    primary, _ = pair
    store = open_store(primary, durability="replica", durability_timeout=0.8)
    people = [ANA._replace(peer=f"p{number}") for number in range(100)]
    appended = await asyncio.gather(*(store.append([message("m1", who)]) for who in people))
    assert [results[0].status for results in appended] == ["new"] * 100
    assert 1 <= await waits(store) <= PIPELINES_IN_FLIGHT_MAX


async def test_memory_never_waits(pair, open_store):
    """With DURABILITY=memory no wait is sent, and the state of the replica does not matter."""
    primary, replica = pair
    store = open_store(primary)
    replica.freeze()
    for operation in (append, edit, revoke):
        await operation(store)
    assert await waits(store) == 0


async def test_what_drains_never_waits(pair, open_store):
    """Typing is a hint and the worker's calls are fenced: a frozen replica delays neither."""
    primary, replica = pair
    await append(open_store(primary))
    store = open_store(primary, **REPLICA)
    replica.freeze()
    await store.presence(ANA, "typing")
    assert await store.flush_now(ANA) == 1
    assert len((await store.dispatch(0, 10)).due) == 1
    claim = await store.claim(store.ref(ANA), "w1")
    assert claim.batch is not None
    assert await store.ack(store.ref(ANA), claim.batch.token) == "ok"
    assert await waits(store) == 0


async def test_a_call_that_failed_keeps_its_error(pair, open_store):
    """Among calls that are not durable, one that Redis refused keeps its own error: it must not be retried."""
    primary, replica = pair
    store = open_store(primary, **REPLICA)
    await store.client.set(store.keys.of(0, "buffer", store.ref(BIA).hash), "not a list")
    replica.freeze()
    calls = [store.append([message("m1", ANA)]), store.revoke(BIA, b"f" * 8)]
    unconfirmed, refused = await asyncio.gather(*calls, return_exceptions=True)
    assert type(unconfirmed) is NotDurable
    assert type(refused) is ConversationBroken


async def test_a_forgetful_server_waits_too(pair, open_store):
    """A script that is sent by its source is followed by a wait too."""
    primary, replica = pair
    store = open_store(primary, **REPLICA)
    await confirmed(lambda: append(store))
    await store.client.script_flush()
    replica.freeze()
    with pytest.raises(StoreUnavailable, match="DURABILITY=replica"):
        await append_again(store)


async def test_a_primary_that_is_demoted(pair, open_store):
    """A server that becomes a replica during a wait is unavailable: its writes may be undone."""
    primary, replica = pair
    store = open_store(primary, durability="replica", durability_timeout=0.8)
    replica.freeze()
    waiting = asyncio.ensure_future(append(store))
    with primary.client() as client:
        await asyncio.to_thread(until, "somebody waits", lambda: client.info("clients")["blocked_clients"] == 1)
        client.replicaof("127.0.0.1", str(replica.port))
        with pytest.raises(StoreUnavailable):
            await waiting
        client.replicaof("NO", "ONE")


async def test_append_waits_for_the_disk(disk, open_store):
    """While the server does not sync its file nothing is confirmed; afterwards the same request is, once."""
    store = open_store(disk, **DISK)
    first, again = [await confirmed(lambda: append(store)) for _ in range(2)]
    assert first == again
    with disk.client() as client:
        client.config_set("rdb-key-save-delay", 1_000_000)
        client.bgrewriteaof()
        with pytest.raises(StoreUnavailable, match=r"DURABILITY=disk: no fsync .* within DURABILITY_TIMEOUT"):
            await store.append([message("m2", ANA, nonce=b"bbbb")])
        client.config_set("rdb-key-save-delay", 0)
        client.config_set("appendonly", "no")
        with pytest.raises(StoreUnavailable, match=r"DURABILITY=disk: Redis did not wait: .*appendonly"):
            await append(store)
        client.config_set("appendonly", "yes")
    again = await confirmed(lambda: store.append([message("m2", ANA, nonce=b"bbbb")]))
    assert [(a.status, a.depth) for a in again] == [("new", 2)]


async def confirmed(operation: Callable[[], Awaitable[T]]) -> T:
    """Repeat an operation as a gateway does, until it is accepted."""
    end = time.monotonic() + HEALS_WITHIN_S
    while True:
        try:
            return await operation()
        except StoreUnavailable:
            assert time.monotonic() < end, "it is never accepted"
            await asyncio.sleep(0.05)


async def waits(store: Store) -> int:
    """The number of waits that the server has run."""
    calls = await store.client.info("commandstats")
    return sum(calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("wait", "waitaof"))
