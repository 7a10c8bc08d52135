"""repair: compare the wake index with the conversations."""

from __future__ import annotations

import pytest

from buffer.models import Claim, Conversation
from tests.lua.driver import ANA, BIA, WINDOW_MS, ScriptDriver, ids
from tests.messages import message


@pytest.mark.parametrize("state", ["open", "in_flight", "waiting", "redrive", "held"])
async def test_lost_entry_is_put_back(driver: ScriptDriver, state: str):
    """A lost wake entry is put back in every state of the conversation, and is due now."""
    if state == "open":
        await driver.append("m1")
    elif state == "held":
        await driver.store.pause(ANA, 30_000)
    elif state == "redrive":
        await driver.store.redrive((await driver.make_dead_letter("m1")).flush_id)
    else:
        batch = await driver.in_flight("m1")
        if state == "waiting":
            await driver.fail(batch.token, "retry", delay_ms=5_000)
    await driver.delete_wake_entry()
    assert await driver.store.repair(0) == (1, 0)
    assert await driver.dispatch() == [driver.ref()]


async def test_whole_index_lost(driver: ScriptDriver):
    """Everything is delivered after the whole wake index was lost."""
    people = [Conversation("generic", "loja", f"p{i}") for i in range(450)]
    await driver.store.append([message("m1", who) for who in people])
    driver.clock.advance(WINDOW_MS)
    await driver.redis.delete(driver.partition_key("wake"))
    assert await driver.store.repair(0) == (450, 0)
    assert len(await driver.dispatch()) == 450


async def test_entries_that_are_there_stay(driver: ScriptDriver):
    """Repair moves no entry that exists."""
    [appended] = await driver.append("m1")
    assert await driver.store.repair(0) == (0, 0)
    assert await driver.wake_ms() == appended.deadline_ms


async def test_early_look_does_no_harm(driver: ScriptDriver):
    """A repaired entry is due at once, and the claim moves it to the deadline."""
    [appended] = await driver.append("m1")
    await driver.delete_wake_entry()
    await driver.store.repair(0)
    assert await driver.claim() == Claim("early", None, appended.deadline_ms)
    assert await driver.wake_ms() == appended.deadline_ms


async def test_entry_that_holds_nothing_is_dropped(driver: ScriptDriver):
    """Wake entries of idle and unknown conversations are dropped. An idle one is put into the idle index."""
    batch = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), batch.token)
    await driver.redis.delete(driver.partition_key("idle"))
    index = driver.partition_key("wake")
    await driver.redis.zadd(index, {driver.ref(ANA).hash: driver.clock(), driver.ref(BIA).hash: driver.clock()})
    assert await driver.store.repair(0) == (0, 2)
    assert await driver.is_idle(ANA)
    assert not await driver.is_idle(BIA)


async def test_delivery_after_repair(driver: ScriptDriver):
    """The holder of a batch in flight whose entry was lost can ack it."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    await driver.delete_wake_entry()
    await driver.store.repair(0)
    assert (await driver.claim(caller="w2")).status == "busy"
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == ["m2"]
