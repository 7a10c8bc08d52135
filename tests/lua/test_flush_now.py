"""flush_now: an operator closes an open burst at once."""

from __future__ import annotations

from buffer.models import Claim
from tests.lua.driver import ANA, WINDOW_MS, ScriptDriver, ids


async def test_open_burst_is_due_now(driver: ScriptDriver):
    """The burst is due now, with the reason `manual`."""
    await driver.append("m1", "m2")
    now_ms = driver.clock.advance(1_000)
    assert await driver.store.flush_now(ANA) == 2
    assert await driver.wake_ms() == now_ms
    batch = await driver.claim_batch()
    assert (ids(batch), batch.reason) == (["m1", "m2"], "manual")


async def test_nothing_to_flush(driver: ScriptDriver):
    """In an idle conversation flush_now changes nothing."""
    assert await driver.store.flush_now(ANA) == 0
    assert await driver.all_keys() == []


async def test_deadline_stays_fired(driver: ScriptDriver):
    """A message after flush_now joins, but does not delay the burst."""
    await driver.append("m1")
    now_ms = driver.clock.advance(1_000)
    await driver.store.flush_now(ANA)
    driver.clock.advance(100)
    [later] = await driver.append("m2")
    assert later.deadline_ms == now_ms
    assert (await driver.claim_batch()).reason == "manual"


async def test_twice_is_once(driver: ScriptDriver):
    """A second flush_now moves neither the deadline nor the wake entry of a burst that is already dispatched."""
    await driver.append("m1")
    await driver.store.flush_now(ANA)
    await driver.dispatch()
    wake_ms = await driver.wake_ms()
    driver.clock.advance(100)
    assert await driver.store.flush_now(ANA) == 1
    assert await driver.wake_ms() == wake_ms


async def test_earlier_reason_stays(driver: ScriptDriver):
    """A burst that had fired keeps its reason."""
    await driver.append("m1", keyword=True)
    await driver.store.flush_now(ANA)
    assert (await driver.claim_batch()).reason == "keyword"


async def test_behind_a_batch_in_flight(driver: ScriptDriver):
    """The lease keeps its wake entry, and the burst is due right after the ack."""
    batch = await driver.in_flight("m1")
    lease_ms = await driver.wake_ms()
    await driver.append("m2")
    assert await driver.store.flush_now(ANA) == 1
    assert await driver.wake_ms() == lease_ms
    await driver.store.ack(driver.ref(), batch.token)
    assert ids(await driver.claim_batch()) == ["m2"]


async def test_in_a_held_conversation(driver: ScriptDriver):
    """During a pause the flushed burst waits for its end."""
    until_ms = await driver.store.pause(ANA, 30_000)
    await driver.append("m1")
    assert await driver.store.flush_now(ANA) == 1
    assert await driver.claim() == Claim("paused", None, until_ms)
    await driver.store.resume(ANA)
    assert (await driver.claim_batch()).reason == "manual"


async def test_sleeping_dispatcher_is_told(driver: ScriptDriver):
    """flush_now announces the earlier deadline."""
    await driver.append("m1")
    driver.clock.advance(WINDOW_MS // 2)
    async with driver.redis.pubsub() as listener:
        await listener.subscribe(driver.partition_key("wake"))
        assert (await listener.get_message(timeout=30))["type"] == "subscribe"
        await driver.store.flush_now(ANA)
        assert (await listener.get_message(timeout=30))["type"] == "message"
