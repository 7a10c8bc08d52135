"""ack: the agent accepted the batch."""

from __future__ import annotations

from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, Desk, ids


async def test_ack_leaves_an_idle_conversation(desk: Desk):
    """After the ack nothing is held, nobody looks, and the flush stands in the history."""
    batch = await desk.in_flight("m1", "m2")
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"
    assert await desk.wake_ms() is None
    assert await desk.is_idle()
    assert await desk.redis.exists(desk.key("batch"), desk.key("lock"), desk.key("buffer")) == 0
    [entry] = await desk.history()
    assert (entry["outcome"], entry["flush_id"], entry["messages"]) == ("acked", batch.flush_id, 2)
    assert (entry["ref"], entry["attempts"], entry["reason"]) == (str(desk.ref()), 1, "quiet")
    assert (await desk.counters())["acked"] == 1


async def test_ack_makes_way_for_the_next_burst(desk: Desk):
    """What came in while the agent worked is due at its own deadline, and is another flush."""
    batch = await desk.in_flight("m1")
    [behind] = await desk.say("m2")
    await desk.store.ack(desk.ref(), batch.token)
    assert await desk.wake_ms() == behind.deadline_ms
    assert not await desk.is_idle()
    desk.clock.advance(WINDOW_MS)
    assert ids(await desk.take()) == ["m2"]


async def test_overdue_burst_goes_at_once(desk: Desk):
    """A burst whose deadline passed while the agent worked is due right after the ack."""
    batch = await desk.in_flight("m1")
    await desk.say("m2")
    desk.clock.advance(WINDOW_MS + 1_000)
    await desk.store.ack(desk.ref(), batch.token)
    assert await desk.due() == [str(desk.ref())]


async def test_nearer_deadline_after_the_ack_is_announced(desk: Desk):
    """A sleeping dispatcher is told when the ack puts the nearest moment into the index."""
    batch = await desk.in_flight("m1")
    await desk.say("m2")
    async with desk.redis.pubsub() as listener:
        await listener.subscribe(desk.partition_key("wake"))
        assert (await listener.get_message(timeout=30))["type"] == "subscribe"
        await desk.store.ack(desk.ref(), batch.token)
        assert (await listener.get_message(timeout=30))["type"] == "message"


async def test_lost_reply(desk: Desk):
    """An ack repeated after its reply was lost answers ok and counts once."""
    batch = await desk.in_flight("m1")
    for _ in range(3):
        assert await desk.store.ack(desk.ref(), batch.token) == "ok"
    assert len(await desk.history()) == 1
    assert (await desk.counters())["acked"] == 1


async def test_lost_reply_with_the_next_batch_in_flight(desk: Desk):
    """The repeated ack of a finished batch does not touch the next one."""
    first = await desk.in_flight("m1")
    await desk.store.ack(desk.ref(), first.token)
    second = await desk.in_flight("m2")
    assert await desk.store.ack(desk.ref(), first.token) == "ok"
    assert await desk.store.renew(desk.ref(), second.token) == "ok"
    assert await desk.store.ack(desk.ref(), second.token) == "ok"


async def test_late_ack(desk: Desk):
    """An ack after the lease's end succeeds while nobody else has claimed."""
    batch = await desk.in_flight("m1")
    desk.clock.advance(LEASE_MS * 3)
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"


async def test_ack_after_another_worker_claimed(desk: Desk):
    """An ack with a token that is no longer the current one changes nothing."""
    first = await desk.in_flight("m1")
    desk.clock.advance(LEASE_MS)
    second = await desk.take(caller="w2")
    assert await desk.store.ack(desk.ref(), first.token) == "lost"
    assert await desk.store.renew(desk.ref(), second.token) == "ok"
    assert (await desk.counters())["acked"] == 0


async def test_cancelled_batch_is_recorded_as_discarded(desk: Desk):
    """The ack of a batch that was discarded meanwhile ends it as discarded, not as delivered."""
    batch = await desk.in_flight("m1", "m2")
    await desk.store.discard(ANA)
    for _ in range(2):
        assert await desk.store.ack(desk.ref(), batch.token) == "cancelled"
    [entry] = await desk.history()
    assert (entry["outcome"], entry["messages"]) == ("discarded", 2)
    assert (await desk.counters())["discarded"] == 2
    assert await desk.wake_ms() is None


async def test_history_is_bounded(desk: Desk):
    """Only the last thousand endings are kept."""
    await desk.redis.lpush(desk.partition_key("history"), *(["{}"] * 1_000))
    batch = await desk.in_flight("m1")
    await desk.store.ack(desk.ref(), batch.token)
    history = await desk.history()
    assert len(history) == 1_000
    assert history[0]["flush_id"] == batch.flush_id
