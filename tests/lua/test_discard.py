"""discard: an operator discards everything that a conversation holds."""

from __future__ import annotations

from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids


async def test_open_burst(driver: ScriptDriver):
    """An open burst is discarded with a record. The conversation is idle and its seen set stays."""
    await driver.append("m1", "m2")
    assert await driver.store.discard(ANA) == (2, False)
    [entry] = await driver.history()
    assert (entry["outcome"], entry["cause"], entry["messages"]) == ("discarded", "operator", 2)
    assert await driver.wake_ms() is None
    assert await driver.is_idle()
    assert await driver.redis.exists(driver.key("buffer"), driver.key("timer")) == 0
    assert (await driver.append("m1"))[0].status == "duplicate"
    assert (await driver.counters())["messages_discarded"] == 2


async def test_nothing_to_discard(driver: ScriptDriver):
    """An unknown conversation holds nothing, and discard leaves no trace."""
    assert await driver.store.discard(ANA) == (0, False)
    assert await driver.all_keys() == []


async def test_batch_in_flight_is_cancelled(driver: ScriptDriver):
    """The worker gets `cancelled` at its next call. Until it releases, the lock stays and no other claim succeeds."""
    batch = await driver.in_flight("m1")
    await driver.append("m2", "m3")
    assert await driver.store.discard(ANA, "revoke") == (2, True)
    assert await driver.redis.exists(driver.key("lock")) == 1
    assert (await driver.claim(caller="w2")).status == "busy"
    assert await driver.store.renew(driver.ref(), batch.token) == "cancelled"
    assert await driver.fail(batch.token, "release") == "cancelled"
    assert [(e["cause"], e["messages"]) for e in await driver.history()] == [("revoke", 1), ("revoke", 2)]
    assert await driver.wake_ms() is None


async def test_new_burst_behind_a_cancelled_batch(driver: ScriptDriver):
    """Messages after the discard are delivered."""
    batch = await driver.in_flight("m1")
    await driver.store.discard(ANA)
    await driver.append("m2")
    await driver.fail(batch.token, "release")
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch(caller="w2")) == ["m2"]


async def test_cancelled_batch_of_a_dead_worker(driver: ScriptDriver):
    """If the worker of a cancelled batch died, the next claim records a discard and delivers nothing of it."""
    await driver.in_flight("m1")
    await driver.store.discard(ANA)
    driver.clock.advance(LEASE_MS)
    assert (await driver.claim(caller="w2")).status == "empty"
    assert [(e["outcome"], e["cause"]) for e in await driver.history()] == [("discarded", "operator")]
    assert (await driver.counters())["messages_discarded"] == 1


async def test_batch_that_waits_for_its_next_attempt(driver: ScriptDriver):
    """A batch without a lease is discarded at once, with the burst behind it."""
    batch = await driver.in_flight("m1")
    await driver.fail(batch.token, "retry", delay_ms=60_000)
    await driver.append("m2")
    assert await driver.store.discard(ANA) == (2, False)
    assert await driver.wake_ms() is None
    assert sum(entry["messages"] for entry in await driver.history()) == 2


async def test_dead_letters_stay(driver: ScriptDriver):
    """A discard keeps a redriven dead letter, and it is delivered next."""
    batch = await driver.make_dead_letter("m1")
    await driver.store.redrive(batch.flush_id)
    await driver.append("m2")
    assert await driver.store.discard(ANA) == (1, False)
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_pause_stays(driver: ScriptDriver):
    """A discard in a paused conversation keeps the pause and its wake entry."""
    until_ms = await driver.store.pause(ANA, 30_000)
    await driver.append("m1")
    assert await driver.store.discard(ANA) == (1, False)
    assert await driver.wake_ms() == until_ms
    assert (await driver.claim()).status == "paused"
