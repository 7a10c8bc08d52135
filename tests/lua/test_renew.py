"""renew: a worker extends its lease during the agent's call."""

from __future__ import annotations

from tests.lua.driver import ANA, LEASE_MS, ScriptDriver


async def test_renew_extends_lease_lock_and_wake_entry(driver: ScriptDriver):
    """A renewal moves the end of the lease in conv hash, lock and wake entry."""
    batch = await driver.in_flight("m1")
    now_ms = driver.clock.advance(10_000)
    await driver.redis.pexpire(driver.key("lock"), 500)
    assert await driver.store.renew(driver.ref(), batch.token) == "ok"
    assert int((await driver.conv())["lease_until_ms"]) == now_ms + LEASE_MS
    assert await driver.wake_ms() == now_ms + LEASE_MS
    assert await driver.redis.pttl(driver.key("lock")) > 500
    driver.clock.advance(LEASE_MS - 1)
    assert (await driver.claim(caller="w2")).status == "busy"


async def test_agent_that_takes_five_leases(driver: ScriptDriver):
    """A lease that is renewed in time lasts as long as the agent needs, and no other claim gets the batch."""
    batch = await driver.in_flight("m1")
    for _ in range(15):
        driver.clock.advance(LEASE_MS // 3)
        assert await driver.dispatch() == []
        assert await driver.store.renew(driver.ref(), batch.token) == "ok"
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"


async def test_late_renewal_that_nobody_noticed(driver: ScriptDriver):
    """A renewal after the end of the lease succeeds while no other worker has claimed the batch."""
    batch = await driver.in_flight("m1")
    driver.clock.advance(LEASE_MS * 2)
    assert await driver.store.renew(driver.ref(), batch.token) == "ok"
    assert (await driver.claim(caller="w2")).status == "busy"


async def test_cancelled_batch(driver: ScriptDriver):
    """The renewal of a cancelled batch returns cancelled: the worker must stop."""
    batch = await driver.in_flight("m1")
    await driver.store.discard(ANA)
    wake_ms = await driver.wake_ms()
    driver.clock.advance(1_000)
    assert await driver.store.renew(driver.ref(), batch.token) == "cancelled"
    assert await driver.wake_ms() == wake_ms
