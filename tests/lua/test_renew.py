"""renew: a lease is kept while the agent thinks."""

from __future__ import annotations

from tests.lua.driver import ANA, LEASE_MS, Desk


async def test_renew_extends_lease_lock_and_wake_entry(desk: Desk):
    """Renewing moves the end of the lease in all three places."""
    batch = await desk.in_flight("m1")
    now_ms = desk.clock.advance(10_000)
    await desk.redis.pexpire(desk.key("lock"), 500)
    assert await desk.store.renew(desk.ref(), batch.token) == "ok"
    assert int((await desk.conv())["lease_until_ms"]) == now_ms + LEASE_MS
    assert await desk.wake_ms() == now_ms + LEASE_MS
    assert await desk.redis.pttl(desk.key("lock")) > 500
    desk.clock.advance(LEASE_MS - 1)
    assert (await desk.claim(caller="w2")).status == "busy"


async def test_agent_that_takes_five_leases(desk: Desk):
    """Renewed in time, a lease lasts as long as the agent needs; nobody else is handed the batch."""
    batch = await desk.in_flight("m1")
    for _ in range(15):
        desk.clock.advance(LEASE_MS // 3)
        assert await desk.due() == []
        assert await desk.store.renew(desk.ref(), batch.token) == "ok"
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"


async def test_late_renewal_that_nobody_noticed(desk: Desk):
    """After its end a lease that nobody took is still the holder's."""
    batch = await desk.in_flight("m1")
    desk.clock.advance(LEASE_MS * 2)
    assert await desk.store.renew(desk.ref(), batch.token) == "ok"
    assert (await desk.claim(caller="w2")).status == "busy"


async def test_cancelled_batch(desk: Desk):
    """A batch that was discarded meanwhile is not renewed: the worker is told to stop."""
    batch = await desk.in_flight("m1")
    await desk.store.discard(ANA)
    wake_ms = await desk.wake_ms()
    desk.clock.advance(1_000)
    assert await desk.store.renew(desk.ref(), batch.token) == "cancelled"
    assert await desk.wake_ms() == wake_ms
