"""claim: what it reads of a long burst, and the leases that it leaves alone after a jump of the clock."""

from __future__ import annotations

from buffer.models import Claim
from tests.lua.driver import ANA, BIA, LEASE_MS, WINDOW_MS, ScriptDriver, ids


async def test_claim_reads_no_more_than_it_takes(open_driver):
    """However many messages wait, a claim reads the head of the list only."""
    driver = open_driver(message_buffer_max_messages=20)
    batch = await driver.in_flight("m0")
    await driver.append(*(f"m{i}" for i in range(1, 501)))
    await driver.store.ack(driver.ref(), batch.token)
    async with driver.redis.monitor() as monitor:
        batch = await driver.claim_batch()
        await driver.redis.echo("end")
        commands = []
        async for seen in monitor.listen():
            commands.append(seen["command"].lower().split())
            if commands[-1][0] == "echo":
                break
    ranges = [list(map(int, command[-2:])) for command in commands if command[0] == "lrange"]
    assert ranges == [[0, 20], [0, 19]]
    assert ids(batch) == [f"m{i}" for i in range(1, 21)]
    assert int((await driver.conv())["depth"]) == 480


async def test_leases_survive_a_jump_of_the_clock(driver: ScriptDriver):
    """While takeovers are held no lease is taken over, its worker renews it, and a dead worker's batch comes after."""
    batch = await driver.in_flight("m1")
    dead = await driver.in_flight("m1", to=BIA)
    driver.clock.advance(600_000)
    until_ms = await driver.store.hold_takeovers(0)
    assert until_ms == driver.clock() + LEASE_MS
    for who in (ANA, BIA):
        assert await driver.claim(who, "w2") == Claim("busy", None, until_ms)
        assert await driver.wake_ms(who) == until_ms
    assert await driver.store.renew(driver.ref(), batch.token) == "ok"
    driver.clock.now_ms = until_ms - 1
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    driver.clock.now_ms = until_ms
    assert (await driver.claim_batch(BIA, "w2")).flush_id == dead.flush_id


async def test_hold_keeps_only_leases(driver: ScriptDriver):
    """Held takeovers keep no open burst and no batch that waits for its next attempt."""
    batch = await driver.in_flight("m1")
    await driver.fail(batch.token, "retry", delay_ms=1_000)
    await driver.append("m1", to=BIA)
    driver.clock.advance(WINDOW_MS)
    await driver.store.hold_takeovers(0)
    assert (await driver.claim(ANA, "w2")).status == (await driver.claim(BIA, "w2")).status == "batch"
