"""repair: the wake index is compared with what conversations hold."""

from __future__ import annotations

import pytest

from buffer.models import Conversation
from tests.lua.driver import ANA, BIA, WINDOW_MS, Desk, ids
from tests.messages import message


@pytest.mark.parametrize("state", ["open", "in_flight", "waiting", "redrive", "held"])
async def test_lost_entry_is_put_back(desk: Desk, state: str):
    """Whatever a conversation holds, its lost wake entry is put back and it is looked at now."""
    if state == "open":
        await desk.say("m1")
    elif state == "held":
        await desk.store.pause(ANA, 30_000)
    elif state == "redrive":
        await desk.store.redrive((await desk.bury("m1")).flush_id)
    else:
        batch = await desk.in_flight("m1")
        if state == "waiting":
            await desk.fail(batch.token, "retry", delay_ms=5_000)
    await desk.lose_wake()
    assert await desk.store.repair(0) == (1, 0)
    assert await desk.due() == [str(desk.ref())]


async def test_whole_index_lost(desk: Desk):
    """With the whole index gone everything is still delivered."""
    people = [Conversation("generic", "loja", f"p{i}") for i in range(450)]
    await desk.store.append([message("m1", who) for who in people])
    desk.clock.advance(WINDOW_MS)
    await desk.redis.delete(desk.partition_key("wake"))
    assert await desk.store.repair(0) == (450, 0)
    assert len(await desk.due()) == 450


async def test_entries_that_are_there_stay(desk: Desk):
    """Nothing is moved when nothing is lost."""
    [appended] = await desk.say("m1")
    assert await desk.store.repair(0) == (0, 0)
    assert await desk.wake_ms() == appended.deadline_ms


async def test_early_look_does_no_harm(desk: Desk):
    """A repaired entry is due at once; the claim sends it back to the deadline."""
    [appended] = await desk.say("m1")
    await desk.lose_wake()
    await desk.store.repair(0)
    assert await desk.claim() == ("early", None, appended.deadline_ms)
    assert await desk.wake_ms() == appended.deadline_ms


async def test_entry_that_holds_nothing_is_dropped(desk: Desk):
    """Wake entries of idle and of unknown conversations are dropped; an idle one is in the idle index."""
    batch = await desk.in_flight("m1")
    await desk.store.ack(desk.ref(), batch.token)
    await desk.redis.delete(desk.partition_key("idle"))
    index = desk.partition_key("wake")
    await desk.redis.zadd(index, {desk.ref(ANA).hash: desk.clock(), desk.ref(BIA).hash: desk.clock()})
    assert await desk.store.repair(0) == (0, 2)
    assert await desk.is_idle(ANA)
    assert not await desk.is_idle(BIA)


async def test_delivery_after_repair(desk: Desk):
    """A batch in flight whose entry was lost is still acked by its holder."""
    batch = await desk.in_flight("m1")
    await desk.say("m2")
    await desk.lose_wake()
    await desk.store.repair(0)
    assert (await desk.claim(caller="w2")).status == "busy"
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"
    desk.clock.advance(WINDOW_MS)
    assert ids(await desk.take()) == ["m2"]
