"""ack: the agent accepted the batch."""

from __future__ import annotations

from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids
from tests.lua.reply_driver import ReplyDriver


async def test_ack_leaves_an_idle_conversation(driver: ScriptDriver):
    """After the ack the conversation is empty and idle, and the flush is in the history."""
    batch = await driver.in_flight("m1", "m2")
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    assert await driver.wake_ms() is None
    assert await driver.is_idle()
    assert await driver.redis.exists(driver.key("batch"), driver.key("lock"), driver.key("buffer")) == 0
    [entry] = await driver.history()
    assert (entry["outcome"], entry["flush_id"], entry["messages"]) == ("acked", batch.flush_id, 2)
    assert (entry["ref"], entry["attempts"], entry["reason"]) == (str(driver.ref()), 1, "quiet")
    assert (await driver.counters())["acked"] == 1


async def test_ack_makes_way_for_the_next_burst(driver: ScriptDriver):
    """Messages that came during the agent's call are due at their own deadline, as another flush."""
    batch = await driver.in_flight("m1")
    [behind] = await driver.append("m2")
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.wake_ms() == behind.deadline_ms
    assert not await driver.is_idle()
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == ["m2"]


async def test_overdue_burst_goes_at_once(driver: ScriptDriver):
    """A burst whose deadline passed during the agent's call is due right after the ack."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    driver.clock.advance(WINDOW_MS + 1_000)
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.dispatch() == [driver.ref()]


async def test_nearer_deadline_after_the_ack_is_announced(driver: ScriptDriver):
    """An ack that sets the earliest wake entry announces it to the dispatchers."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    async with driver.redis.pubsub() as listener:
        await listener.subscribe(driver.partition_key("wake"))
        assert (await listener.get_message(timeout=30))["type"] == "subscribe"
        await driver.store.ack(driver.ref(), batch.token)
        assert (await listener.get_message(timeout=30))["type"] == "message"


async def test_lost_reply(driver: ScriptDriver):
    """An ack repeated after its reply was lost returns ok and counts once."""
    batch = await driver.in_flight("m1")
    for _ in range(3):
        assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    assert len(await driver.history()) == 1
    assert (await driver.counters())["acked"] == 1


async def test_lost_reply_with_the_next_batch_in_flight(driver: ScriptDriver):
    """The repeated ack of a finished batch does not touch the next one."""
    first = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), first.token)
    second = await driver.in_flight("m2")
    assert await driver.store.ack(driver.ref(), first.token) == "ok"
    assert await driver.store.renew(driver.ref(), second.token) == "ok"
    assert await driver.store.ack(driver.ref(), second.token) == "ok"


async def test_late_ack(driver: ScriptDriver):
    """An ack after the end of the lease succeeds while no other worker has claimed the batch."""
    batch = await driver.in_flight("m1")
    driver.clock.advance(LEASE_MS * 3)
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"


async def test_ack_after_another_worker_claimed(driver: ScriptDriver):
    """An ack with a token that is no longer the current one changes nothing."""
    first = await driver.in_flight("m1")
    driver.clock.advance(LEASE_MS)
    second = await driver.claim_batch(caller="w2")
    assert await driver.store.ack(driver.ref(), first.token) == "lost"
    assert await driver.store.renew(driver.ref(), second.token) == "ok"
    assert (await driver.counters())["acked"] == 0


async def test_cancelled_batch_is_recorded_as_discarded(driver: ScriptDriver):
    """The ack of a cancelled batch records it as discarded, not as delivered."""
    batch = await driver.in_flight("m1", "m2")
    await driver.store.discard(ANA)
    for _ in range(2):
        assert await driver.store.ack(driver.ref(), batch.token) == "cancelled"
    [entry] = await driver.history()
    assert (entry["outcome"], entry["messages"]) == ("discarded", 2)
    assert (await driver.counters())["messages_discarded"] == 2
    assert await driver.wake_ms() is None


async def test_history_is_bounded(driver: ScriptDriver):
    """The history keeps the last two thousand entries, and at most one node of the stream more."""
    pipeline = driver.redis.pipeline(transaction=False)
    for _ in range(2_500):
        pipeline.xadd(driver.partition_key("history"), {"outcome": "acked"})
    await pipeline.execute()
    batch = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), batch.token)
    history = await driver.history()
    assert 2_000 <= len(history) <= 2_100
    assert history[0]["flush_id"] == batch.flush_id


async def test_parts_in_the_history(driver: ScriptDriver, replies: ReplyDriver):
    """The record of a flush says how many parts its answer had."""
    batch = await replies.answered("olá", "tudo bem?")
    for number in (1, 2):
        await replies.send(batch, number)
    await driver.store.ack(driver.ref(), batch.token)
    [entry] = await driver.history()
    assert (entry["outcome"], entry["parts"], entry["next_part"]) == ("acked", 2, 3)


async def test_hand_over(driver: ScriptDriver):
    """The agent may give the conversation to a human: it is paused, and what was said meanwhile is discarded."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    for _ in range(2):
        assert await driver.store.ack(driver.ref(), batch.token, pause_ms=60_000) == "ok"
    assert [entry["outcome"] for entry in await driver.history()] == ["acked", "discarded"]
    assert await driver.wake_ms() == driver.clock() + 60_000
    assert not await driver.is_idle()
    assert [appended.status for appended in await driver.append("m3")] == ["discarded"]


async def test_hand_over_of_a_cancelled_batch(driver: ScriptDriver):
    """A batch that an operator discarded hands nothing over."""
    batch = await driver.in_flight("m1")
    await driver.store.discard(ANA)
    assert await driver.store.ack(driver.ref(), batch.token, pause_ms=60_000) == "cancelled"
    assert "paused_until_ms" not in await driver.conv()
