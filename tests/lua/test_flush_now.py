"""flush_now: an operator closes an open burst at once."""

from __future__ import annotations

from tests.lua.driver import ANA, WINDOW_MS, Desk, ids


async def test_open_burst_is_due_now(desk: Desk):
    """The burst is due now, and its reason says that somebody asked for it."""
    await desk.say("m1", "m2")
    now_ms = desk.clock.advance(1_000)
    assert await desk.store.flush_now(ANA) == 2
    assert await desk.wake_ms() == now_ms
    batch = await desk.take()
    assert (ids(batch), batch.reason) == (["m1", "m2"], "manual")


async def test_nothing_to_flush(desk: Desk):
    """An idle conversation has nothing to flush and is left alone."""
    assert await desk.store.flush_now(ANA) == 0
    assert await desk.all_keys() == []


async def test_deadline_stays_fired(desk: Desk):
    """A message after flush_now joins, but does not hold the burst back."""
    await desk.say("m1")
    now_ms = desk.clock.advance(1_000)
    await desk.store.flush_now(ANA)
    desk.clock.advance(100)
    [later] = await desk.say("m2")
    assert later.deadline_ms == now_ms
    assert (await desk.take()).reason == "manual"


async def test_twice_is_once(desk: Desk):
    """A second click moves neither the deadline nor the wake entry of a burst that is already dispatched."""
    await desk.say("m1")
    await desk.store.flush_now(ANA)
    await desk.due()
    wake_ms = await desk.wake_ms()
    desk.clock.advance(100)
    assert await desk.store.flush_now(ANA) == 1
    assert await desk.wake_ms() == wake_ms


async def test_earlier_reason_stays(desk: Desk):
    """A burst that fired by itself keeps its reason."""
    await desk.say("m1", keyword=True)
    await desk.store.flush_now(ANA)
    assert (await desk.take()).reason == "keyword"


async def test_behind_a_batch_in_flight(desk: Desk):
    """The lease keeps its wake entry; the burst goes right after the ack."""
    batch = await desk.in_flight("m1")
    lease_ms = await desk.wake_ms()
    await desk.say("m2")
    assert await desk.store.flush_now(ANA) == 1
    assert await desk.wake_ms() == lease_ms
    await desk.store.ack(desk.ref(), batch.token)
    assert ids(await desk.take()) == ["m2"]


async def test_in_a_held_conversation(desk: Desk):
    """A pause holds: what was flushed by hand goes at its end."""
    until_ms = await desk.store.pause(ANA, 30_000)
    await desk.say("m1")
    assert await desk.store.flush_now(ANA) == 1
    assert await desk.claim() == ("paused", None, until_ms)
    await desk.store.resume(ANA)
    assert (await desk.take()).reason == "manual"


async def test_sleeping_dispatcher_is_told(desk: Desk):
    """flush_now announces the nearer moment."""
    await desk.say("m1")
    desk.clock.advance(WINDOW_MS // 2)
    async with desk.redis.pubsub() as listener:
        await listener.subscribe(desk.partition_key("wake"))
        assert (await listener.get_message(timeout=30))["type"] == "subscribe"
        await desk.store.flush_now(ANA)
        assert (await listener.get_message(timeout=30))["type"] == "message"
