"""Scripts on a server that forgets them, restarts, is full, or is a replica."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from buffer.errors import StoreFull, StoreUnavailable
from buffer.retry import retry_unavailable
from buffer.store import Store
from tests.lua.driver import ANA, BIA, LEASE_MS, WINDOW_MS, ScriptDriver, ids
from tests.lua.reply_driver import ReplyDriver
from tests.messages import message
from tests.servers import KINDS, Server


@pytest.fixture(params=KINDS)
async def own(
    request: pytest.FixtureRequest,
    start_server: Callable[..., Server],
    open_store: Callable[..., Store],
    clock,
) -> tuple[Server, ScriptDriver]:
    """Yield a server that only this test uses, and a driver on it."""
    server = start_server(request.param, appendonly="yes", appendfsync="always")
    return server, ScriptDriver(open_store(server), clock)


async def test_script_flush_is_invisible(driver: ScriptDriver):
    """A server that forgot all scripts during a burst gets them again in the same call."""
    await driver.append("m1")
    await driver.redis.script_flush()
    await driver.append("m2")
    driver.clock.advance(WINDOW_MS)
    await driver.redis.script_flush()
    batch = await driver.claim_batch()
    assert ids(batch) == ["m1", "m2"]
    await driver.redis.script_flush()
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"


async def test_script_flush_among_many_calls(driver: ScriptDriver):
    """Calls of one loop iteration to a server that forgot the scripts all succeed, each exactly once."""
    await driver.redis.script_flush()
    appended = await asyncio.gather(*(driver.append(f"m{i}") for i in range(19)))
    assert [result[0].status for result in appended] == ["new"] * 19
    assert sorted(result[0].depth for result in appended) == list(range(1, 20))


async def test_scripts_are_known_after_one_call(driver: ScriptDriver):
    """A script is sent whole once, then only its SHA."""
    await driver.append("m1")
    before = await driver.redis.info("commandstats")
    await driver.append("m2")
    after = await driver.redis.info("commandstats")
    calls = {
        name: after.get(name, {"calls": 0})["calls"] - before.get(name, {"calls": 0})["calls"]
        for name in ("cmdstat_eval", "cmdstat_evalsha")
    }
    assert calls == {"cmdstat_eval": 0, "cmdstat_evalsha": 1}


async def test_load_scripts_spares_the_first_caller(driver: ScriptDriver):
    """After load_scripts no call sends a source, and loading again does no harm."""
    await driver.redis.script_flush()
    for _ in range(2):
        await driver.store.load_scripts()
    before = (await driver.redis.info("commandstats")).get("cmdstat_eval", {"calls": 0})["calls"]
    batch = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), batch.token)
    assert (await driver.redis.info("commandstats")).get("cmdstat_eval", {"calls": 0})["calls"] == before


async def test_killed_server_keeps_what_was_accepted(own: tuple[Server, ScriptDriver]):
    """After kill -9 with AOF, messages, lease and token are there again, and the same client goes on."""
    server, driver = own
    batch = await driver.in_flight("m1")
    await driver.append("m2", "m3")
    server.kill()
    server.restart()
    assert await retry_unavailable(lambda: driver.store.renew(driver.ref(), batch.token), 5) == "ok"
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch(caller="w2")) == ["m2", "m3"]


async def test_server_away(own: tuple[Server, ScriptDriver]):
    """A server that is down raises StoreUnavailable at once, and is used again when it is back."""
    server, driver = own
    await driver.append("m1")
    server.kill()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await driver.append("m2")
    server.restart()
    assert (await retry_unavailable(lambda: driver.append("m2"), 5))[0].depth == 2


async def test_resent_append_after_a_restart(own: tuple[Server, ScriptDriver]):
    """The nonce is stored with the id: a request resent across a restart gets the same reply."""
    server, driver = own
    request = message("m1", ANA, nonce=b"abcd")
    first = await driver.store.append([request])
    server.kill()
    server.restart()
    assert await retry_unavailable(lambda: driver.store.append([request]), 5) == first


async def test_full_server_refuses_new_messages_whole(own: tuple[Server, ScriptDriver]):
    """A full server refuses an append with StoreFull, and not one byte of it is stored."""
    _, driver = own
    await driver.append("m1", to=BIA)
    before = await state(driver)
    await driver.redis.config_set("maxmemory", "1")
    with pytest.raises(StoreFull, match="out of memory"):
        await driver.store.append([message("m1", ANA), message("m2", BIA), message("m1", BIA)])
    assert await state(driver) == before
    await driver.redis.config_set("maxmemory", "0")
    assert [a.status for a in await driver.append("m1", "m2")] == ["new", "new"]


async def test_full_server_still_drains(own: tuple[Server, ScriptDriver]):
    """On a full server every script that drains the buffer succeeds, and no message is stuck."""
    _, driver = own
    await driver.append("m1")
    await driver.append("m1", to=BIA)
    driver.clock.advance(WINDOW_MS)
    await driver.redis.config_set("maxmemory", "1")
    assert len(await driver.dispatch()) == 2
    batch = await driver.claim_batch()
    assert await driver.store.renew(driver.ref(), batch.token) == "ok"
    assert await driver.store.answered(driver.ref(), batch.token, b"{}") == "ok"
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    batch = await driver.claim_batch(BIA)
    assert await driver.fail(batch.token, "retry", delay_ms=1_000, to=BIA) == "ok"
    assert (await driver.claim(BIA)).status == "busy"
    driver.clock.advance(1_000)
    batch = await driver.claim_batch(BIA)
    assert await driver.fail(batch.token, "dead", to=BIA) == "dead"
    assert await driver.store.redrive(batch.flush_id) == "ok"
    await driver.claim_batch(BIA)
    driver.clock.advance(LEASE_MS)
    batch = await driver.claim_batch(BIA, caller="w2")
    assert await driver.store.ack(driver.ref(BIA), batch.token) == "ok"
    assert (await driver.claim(BIA)).status == "empty"
    assert (await driver.store.snapshot(0))["pending"] == 0


async def test_full_server_still_sends_parts(own: tuple[Server, ScriptDriver]):
    """On a full server the parts of an answer are sent, settled and resolved, and the batch ends."""
    _, driver = own
    replies = ReplyDriver(driver)
    batch = await driver.in_flight("m1")
    await driver.redis.config_set("maxmemory", "1")
    assert await replies.answer(batch, "olá", "tudo bem?", "até logo") == "ok"
    await replies.send(batch)
    await replies.begin(batch, 2, own_id="own2")
    assert await replies.end(batch, 2, "in_doubt") == "ok"
    await replies.begin(batch, 3)
    assert await replies.own("id3", "até logo", human_pause_ms=60_000) == "ours"
    assert await replies.end(batch, 3, "later") == "ok"
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    assert await replies.status("sent", own_id="own2") == f"{batch.flush_id}.2"
    assert await replies.own("id4", "eu respondo", human_pause_ms=60_000) == "human"


async def test_full_server_takes_a_batch_back(own: tuple[Server, ScriptDriver], open_store):
    """On a full server the messages of a superseded batch go back to the open burst, and are delivered from there."""
    server, _ = own
    driver = ScriptDriver(open_store(server, message_while_answering="restart"), own[1].clock)
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    await driver.redis.config_set("maxmemory", "1")
    assert await driver.store.answered(driver.ref(), batch.token, b"{}", b"12345678") == "superseded"
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(caller="w2")
    assert ids(again) == ["m1", "m2"]
    assert await driver.store.ack(driver.ref(), again.token) == "ok"


async def test_full_server_obeys_operators(own: tuple[Server, ScriptDriver]):
    """On a full server a burst can be flushed and discarded, and a pause can be ended."""
    _, driver = own
    await driver.append("m1", "m2")
    await driver.append("m1", to=BIA)
    await driver.store.pause(ANA)
    await driver.redis.config_set("maxmemory", "1")
    assert await driver.store.resume(ANA) is True
    assert await driver.store.flush_now(ANA) == 2
    assert ids(await driver.claim_batch()) == ["m1", "m2"]
    assert await driver.store.discard(BIA) == (1, False)


async def test_replica_is_not_ready(own: tuple[Server, ScriptDriver]):
    """A server that became a replica (failover) is unavailable. As a primary it serves again."""
    server, driver = own
    await driver.append("m1")
    await driver.redis.execute_command("REPLICAOF", "127.0.0.1", str(server.port + 1))
    with pytest.raises(StoreUnavailable):
        await driver.append("m2")
    await driver.redis.execute_command("REPLICAOF", "NO", "ONE")
    assert (await driver.append("m2"))[0].depth == 2


async def test_server_that_cannot_persist(own: tuple[Server, ScriptDriver]):
    """A server that refuses writes because it cannot save them is unavailable, and the message is not accepted."""
    _, driver = own
    await driver.append("m1")
    await driver.redis.config_set("min-replicas-to-write", "1")
    with pytest.raises(StoreUnavailable):
        await driver.append("m2")
    await driver.redis.config_set("min-replicas-to-write", "0")
    assert (await driver.append("m2"))[0].depth == 2


async def state(driver: ScriptDriver) -> dict[str, bytes]:
    return {key: await driver.redis.dump(key) for key in await driver.all_keys()}
