"""discard: an operator throws away what a conversation holds."""

from __future__ import annotations

from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, Desk, ids


async def test_open_burst(desk: Desk):
    """An open burst is gone, with a record; the conversation is idle and its ids stay remembered."""
    await desk.say("m1", "m2")
    assert await desk.store.discard(ANA) == (2, False)
    [entry] = await desk.history()
    assert (entry["outcome"], entry["cause"], entry["messages"]) == ("discarded", "operator", 2)
    assert await desk.wake_ms() is None
    assert await desk.is_idle()
    assert await desk.redis.exists(desk.key("buffer"), desk.key("timer")) == 0
    assert (await desk.say("m1"))[0].status == "duplicate"
    assert (await desk.counters())["discarded"] == 2


async def test_nothing_to_discard(desk: Desk):
    """A conversation that is not known holds nothing, and no trace is left."""
    assert await desk.store.discard(ANA) == (0, False)
    assert await desk.all_keys() == []


async def test_batch_in_flight_is_cancelled(desk: Desk):
    """The worker is told at its next step; until it hands back, the lock stays and nobody else starts."""
    batch = await desk.in_flight("m1")
    await desk.say("m2", "m3")
    assert await desk.store.discard(ANA, "revoke") == (2, True)
    assert await desk.redis.exists(desk.key("lock")) == 1
    assert (await desk.claim(caller="w2")).status == "busy"
    assert await desk.store.renew(desk.ref(), batch.token) == "cancelled"
    assert await desk.fail(batch.token, "release") == "cancelled"
    assert [(e["cause"], e["messages"]) for e in await desk.history()] == [("revoke", 1), ("revoke", 2)]
    assert await desk.wake_ms() is None


async def test_new_burst_behind_a_cancelled_batch(desk: Desk):
    """What is said after the discard is delivered."""
    batch = await desk.in_flight("m1")
    await desk.store.discard(ANA)
    await desk.say("m2")
    await desk.fail(batch.token, "release")
    desk.clock.advance(WINDOW_MS)
    assert ids(await desk.take(caller="w2")) == ["m2"]


async def test_cancelled_batch_of_a_dead_worker(desk: Desk):
    """A worker that died with a cancelled batch: the next claim records it and delivers nothing of it."""
    await desk.in_flight("m1")
    await desk.store.discard(ANA)
    desk.clock.advance(LEASE_MS)
    assert (await desk.claim(caller="w2")).status == "empty"
    assert [(e["outcome"], e["cause"]) for e in await desk.history()] == [("discarded", "operator")]
    assert (await desk.counters())["discarded"] == 1


async def test_batch_that_waits_for_its_next_attempt(desk: Desk):
    """A batch that nobody holds is discarded at once, with the burst behind it."""
    batch = await desk.in_flight("m1")
    await desk.fail(batch.token, "retry", delay_ms=60_000)
    await desk.say("m2")
    assert await desk.store.discard(ANA) == (2, False)
    assert await desk.wake_ms() is None
    assert sum(entry["messages"] for entry in await desk.history()) == 2


async def test_dead_letters_stay(desk: Desk):
    """A dead letter that was asked for again is not part of what is thrown away; it goes next."""
    batch = await desk.bury("m1")
    await desk.store.redrive(batch.flush_id)
    await desk.say("m2")
    assert await desk.store.discard(ANA) == (1, False)
    assert ids(await desk.take()) == ["m1"]


async def test_pause_stays(desk: Desk):
    """Discarding in a held conversation keeps the pause and its wake time."""
    until_ms = await desk.store.pause(ANA, 30_000)
    await desk.say("m1")
    assert await desk.store.discard(ANA) == (1, False)
    assert await desk.wake_ms() == until_ms
    assert (await desk.claim()).status == "paused"
