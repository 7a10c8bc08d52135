"""What the server does to scripts: it forgets them, restarts, is full, is a replica, or holds something else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from buffer.errors import StoreError, StoreFull, StoreUnavailable
from buffer.store import Store, resent
from tests.lua.driver import ANA, BIA, LEASE_MS, WINDOW_MS, Desk, ids
from tests.messages import message
from tests.servers import KINDS, Server


@pytest.fixture(params=KINDS)
async def own(
    request: pytest.FixtureRequest,
    start_server: Callable[..., Server],
    open_store: Callable[..., Store],
    clock,
) -> tuple[Server, Desk]:
    """A server for this test alone, which it may ill-treat, and a desk on it."""
    server = start_server(request.param, appendonly="yes", appendfsync="always")
    return server, Desk(open_store(server), clock)


async def test_script_flush_is_invisible(desk: Desk):
    """A server that forgot all scripts in mid-burst is told again, in the same call."""
    await desk.say("m1")
    await desk.redis.script_flush()
    await desk.say("m2")
    desk.clock.advance(WINDOW_MS)
    await desk.redis.script_flush()
    batch = await desk.take()
    assert ids(batch) == ["m1", "m2"]
    await desk.redis.script_flush()
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"


async def test_script_flush_among_many_calls(desk: Desk):
    """Calls of one loop turn that meet a forgetful server are all served, each exactly once."""
    await desk.redis.script_flush()
    appended = await asyncio.gather(*(desk.say(f"m{i}") for i in range(19)))
    assert [result[0].status for result in appended] == ["new"] * 19
    assert sorted(result[0].depth for result in appended) == list(range(1, 20))


async def test_scripts_are_known_after_one_call(desk: Desk):
    """A script is sent whole once; from then on by its SHA."""
    await desk.say("m1")
    before = await desk.redis.info("commandstats")
    await desk.say("m2")
    after = await desk.redis.info("commandstats")
    calls = {
        name: after.get(name, {"calls": 0})["calls"] - before.get(name, {"calls": 0})["calls"]
        for name in ("cmdstat_eval", "cmdstat_evalsha")
    }
    assert calls == {"cmdstat_eval": 0, "cmdstat_evalsha": 1}


async def test_load_scripts_spares_the_first_caller(desk: Desk):
    """After load_scripts no call has to send a source, and loading again is harmless."""
    await desk.redis.script_flush()
    for _ in range(2):
        await desk.store.load_scripts()
    before = (await desk.redis.info("commandstats")).get("cmdstat_eval", {"calls": 0})["calls"]
    batch = await desk.in_flight("m1")
    await desk.store.ack(desk.ref(), batch.token)
    assert (await desk.redis.info("commandstats")).get("cmdstat_eval", {"calls": 0})["calls"] == before


async def test_killed_server_keeps_what_was_accepted(own: tuple[Server, Desk]):
    """kill -9 with AOF: messages, lease and token are there again, and the same client goes on."""
    server, desk = own
    batch = await desk.in_flight("m1")
    await desk.say("m2", "m3")
    server.kill()
    server.restart()
    assert await resent(lambda: desk.store.renew(desk.ref(), batch.token), 5) == "ok"
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"
    desk.clock.advance(WINDOW_MS)
    assert ids(await desk.take(caller="w2")) == ["m2", "m3"]


async def test_server_away(own: tuple[Server, Desk]):
    """A server that is down is said to be unavailable at once, and used again when it is back."""
    server, desk = own
    await desk.say("m1")
    server.kill()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await desk.say("m2")
    server.restart()
    assert (await resent(lambda: desk.say("m2"), 5))[0].depth == 2


async def test_resent_append_after_a_restart(own: tuple[Server, Desk]):
    """The nonce is stored with the id: a request resent across a restart answers as the first time."""
    server, desk = own
    request = message("m1", ANA, nonce=b"abcd")
    first = await desk.store.append([request])
    server.kill()
    server.restart()
    assert await resent(lambda: desk.store.append([request]), 5) == first


async def test_full_server_refuses_new_messages_whole(own: tuple[Server, Desk]):
    """A full server refuses an append, says so, and not one byte of it is stored."""
    _, desk = own
    await desk.say("m1", to=BIA)
    before = await state(desk)
    await desk.redis.config_set("maxmemory", "1")
    with pytest.raises(StoreFull, match="out of memory"):
        await desk.store.append([message("m1", ANA), message("m2", BIA), message("m1", BIA)])
    assert await state(desk) == before
    await desk.redis.config_set("maxmemory", "0")
    assert [a.status for a in await desk.say("m1", "m2")] == ["new", "new"]


async def test_full_server_still_drains(own: tuple[Server, Desk]):
    """On a full server everything that empties the buffer goes on: no message is stuck in it."""
    _, desk = own
    await desk.say("m1")
    await desk.say("m1", to=BIA)
    desk.clock.advance(WINDOW_MS)
    await desk.redis.config_set("maxmemory", "1")
    assert len(await desk.due()) == 2
    batch = await desk.take()
    assert await desk.store.renew(desk.ref(), batch.token) == "ok"
    assert await desk.store.answered(desk.ref(), batch.token, b"{}") == "ok"
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"
    batch = await desk.take(BIA)
    assert await desk.fail(batch.token, "retry", delay_ms=1_000, to=BIA) == "ok"
    assert (await desk.claim(BIA)).status == "busy"
    desk.clock.advance(1_000)
    batch = await desk.take(BIA)
    assert await desk.fail(batch.token, "dead", to=BIA) == "dead"
    assert await desk.store.redrive(batch.flush_id) == "ok"
    await desk.take(BIA)
    desk.clock.advance(LEASE_MS)
    batch = await desk.take(BIA, caller="w2")
    assert await desk.store.ack(desk.ref(BIA), batch.token) == "ok"
    assert (await desk.claim(BIA)).status == "empty"
    assert (await desk.store.snapshot(0))["pending"] == 0


async def test_full_server_obeys_operators(own: tuple[Server, Desk]):
    """On a full server a burst can still be flushed, discarded and released from a pause."""
    _, desk = own
    await desk.say("m1", "m2")
    await desk.say("m1", to=BIA)
    await desk.store.pause(ANA)
    await desk.redis.config_set("maxmemory", "1")
    assert await desk.store.resume(ANA) is True
    assert await desk.store.flush_now(ANA) == 2
    assert ids(await desk.take()) == ["m1", "m2"]
    assert await desk.store.discard(BIA) == (1, False)


@pytest.mark.parametrize("kind", ["wake", "conv", "buffer", "seen", "timer"])
async def test_key_of_another_type(desk: Desk, kind: str):
    """Something else under one of our keys is an error that quotes the server, never a crash of the client."""
    key = desk.partition_key(kind) if kind == "wake" else desk.key(kind)
    await desk.redis.sadd(key, "not ours")
    try:
        if kind == "timer":
            assert (await desk.say("m1"))[0].status == "new"
        else:
            with pytest.raises(StoreError, match=r"Redis refused a command: .*WRONGTYPE|wrong kind of value"):
                await desk.say("m1")
    finally:
        await desk.clean()


async def test_replica_is_not_ready(own: tuple[Server, Desk]):
    """A server that became a replica (failover) is unavailable, not broken; as a primary it serves again."""
    server, desk = own
    await desk.say("m1")
    await desk.redis.execute_command("REPLICAOF", "127.0.0.1", str(server.port + 1))
    with pytest.raises(StoreUnavailable):
        await desk.say("m2")
    await desk.redis.execute_command("REPLICAOF", "NO", "ONE")
    assert (await desk.say("m2"))[0].depth == 2


async def test_server_that_cannot_persist(own: tuple[Server, Desk]):
    """A server that refuses writes because it cannot save them is unavailable: the message is not accepted."""
    _, desk = own
    await desk.say("m1")
    await desk.redis.config_set("min-replicas-to-write", "1")
    with pytest.raises(StoreUnavailable):
        await desk.say("m2")
    await desk.redis.config_set("min-replicas-to-write", "0")
    assert (await desk.say("m2"))[0].depth == 2


async def state(desk: Desk) -> dict[str, bytes]:
    return {key: await desk.redis.dump(key) for key in await desk.all_keys()}
