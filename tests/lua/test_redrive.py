"""redrive: a dead letter is delivered again."""

from __future__ import annotations

import pytest

from tests.lua.driver import ANA, BIA, LEASE_MS, WINDOW_MS, Desk, ids


async def test_same_flush_again(desk: Desk):
    """A redriven letter is due at once: same flush_id, same messages, attempts from the start."""
    dead = await desk.bury("m1", "m2")
    desk.clock.advance(60_000)
    await desk.say("m3", name="Ana Maria")
    await desk.store.discard(ANA)
    assert await desk.store.redrive(dead.flush_id) == "ok"
    assert await desk.due() == [str(desk.ref())]
    batch = await desk.take()
    same = ("flush_id", "messages", "reason", "closed_ms", "separator", "conversation", "name")
    assert {name: getattr(batch, name) for name in same} == {name: getattr(dead, name) for name in same}
    assert (batch.attempt, batch.failures) == (1, 0)
    assert await desk.redis.zcard(desk.partition_key("dead")) == 0
    assert await desk.redis.exists(desk.store.keys.of(0, "letter", dead.flush_id)) == 0
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"
    assert await desk.wake_ms() is None
    assert (await desk.conv())["name"] == "Ana Maria"


async def test_before_anything_new(desk: Desk):
    """A redriven letter goes before a burst that is already due, and the burst is not joined to it."""
    dead = await desk.bury("m1")
    await desk.say("m2")
    desk.clock.advance(WINDOW_MS)
    await desk.store.redrive(dead.flush_id)
    batch = await desk.take()
    assert ids(batch) == ["m1"]
    await desk.store.ack(desk.ref(), batch.token)
    assert ids(await desk.take()) == ["m2"]


async def test_open_burst_keeps_its_deadline(desk: Desk):
    """A redrive does not close the burst that is open meanwhile."""
    dead = await desk.bury("m1")
    [behind] = await desk.say("m2")
    await desk.store.redrive(dead.flush_id)
    batch = await desk.take()
    await desk.store.ack(desk.ref(), batch.token)
    assert await desk.wake_ms() == behind.deadline_ms
    assert (await desk.claim()).status == "early"


async def test_double_click(desk: Desk):
    """Asking twice delivers once."""
    dead = await desk.bury("m1")
    assert await desk.store.redrive(dead.flush_id) == "ok"
    assert await desk.store.redrive(dead.flush_id) == "already"
    batch = await desk.take()
    assert await desk.store.redrive(dead.flush_id) == "unknown"
    await desk.store.ack(desk.ref(), batch.token)
    assert (await desk.claim()).status == "empty"


async def test_behind_a_batch_in_flight(desk: Desk):
    """While another batch is in flight the letter waits; it goes right after the ack."""
    dead = await desk.bury("m1")
    batch = await desk.in_flight("m2")
    lease_ms = await desk.wake_ms()
    await desk.store.redrive(dead.flush_id)
    assert await desk.wake_ms() == lease_ms
    await desk.store.ack(desk.ref(), batch.token)
    assert await desk.due() == [str(desk.ref())]
    assert ids(await desk.take()) == ["m1"]


async def test_several_letters_in_the_order_asked(desk: Desk):
    """Letters go one at a time, in the order in which they were asked for."""
    letters = [await desk.bury(name) for name in ("m1", "m2", "m3")]
    for dead in reversed(letters):
        await desk.store.redrive(dead.flush_id)
    delivered = []
    for _ in letters:
        batch = await desk.take()
        delivered += ids(batch)
        await desk.store.ack(desk.ref(), batch.token)
    assert delivered == ["m3", "m2", "m1"]


async def test_dead_again(desk: Desk):
    """A letter that fails again is a dead letter again, and can be asked for again."""
    dead = await desk.bury("m1")
    for _ in range(2):
        assert await desk.store.redrive(dead.flush_id) == "ok"
        batch = await desk.take()
        assert await desk.fail(batch.token, "dead") == "dead"
        assert batch.flush_id == dead.flush_id
    assert await desk.redis.zcard(desk.partition_key("dead")) == 1


async def test_stored_answer_is_kept(desk: Desk):
    """A letter whose agent had answered is not sent to the agent again: its answer comes with it."""
    batch = await desk.in_flight("m1")
    await desk.store.answered(desk.ref(), batch.token, b'{"reply":"x"}')
    await desk.fail(batch.token, "dead")
    await desk.store.redrive(batch.flush_id)
    assert (await desk.take()).answer == b'{"reply":"x"}'


async def test_answer_of_the_flush_before_is_not(desk: Desk):
    """A letter without an answer does not inherit one from the batch before it."""
    dead = await desk.bury("m1")
    batch = await desk.in_flight("m2")
    await desk.store.answered(desk.ref(), batch.token, b"{}")
    await desk.store.redrive(dead.flush_id)
    await desk.store.ack(desk.ref(), batch.token)
    assert (await desk.take()).answer is None


async def test_while_held(desk: Desk):
    """In a held conversation the letter goes at the end of the pause."""
    dead = await desk.bury("m1")
    until_ms = await desk.store.pause(ANA, 30_000)
    await desk.store.redrive(dead.flush_id)
    assert await desk.claim() == ("paused", None, until_ms)
    desk.clock.now_ms = until_ms
    assert ids(await desk.take()) == ["m1"]


async def test_after_the_conversation_was_swept(desk: Desk):
    """A letter outlives its conversation: everything a flush needs is in the letter."""
    dead = await desk.bury("m1")
    desk.clock.advance(8 * 86_400_000)
    assert await desk.store.sweep(0) == 1
    assert await desk.conv() == {}
    await desk.store.redrive(dead.flush_id)
    batch = await desk.take()
    assert (batch.flush_id, batch.messages, batch.conversation) == (dead.flush_id, dead.messages, ANA)
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"


async def test_unknown_letter(desk: Desk):
    """A flush_id that is no dead letter is unknown, and changes nothing."""
    batch = await desk.in_flight("m1")
    assert await desk.store.redrive(batch.flush_id) == "unknown"
    assert ids(await desk.take()) == ["m1"]


@pytest.mark.parametrize("flush_id", ["", "nonsense", "-x", "p0-abc"])
async def test_not_a_flush_id(desk: Desk, flush_id: str):
    """What cannot be a flush_id is refused with a sentence that says what one looks like."""
    with pytest.raises(ValueError, match="<partition>-<hash>"):
        await desk.store.redrive(flush_id)


async def test_letter_removed_by_hand(desk: Desk):
    """A letter whose messages somebody deleted does not block those behind it."""
    first, second = await desk.bury("m1"), await desk.bury("m2")
    await desk.store.redrive(first.flush_id)
    await desk.store.redrive(second.flush_id)
    await desk.redis.delete(desk.store.keys.of(0, "remains", first.flush_id))
    assert ids(await desk.take()) == ["m2"]


async def test_other_conversations_are_not_touched(desk: Desk):
    """A redrive wakes its own conversation only."""
    dead = await desk.bury("m1", to=ANA)
    [appended] = await desk.say("m1", to=BIA)
    await desk.store.redrive(dead.flush_id)
    assert await desk.wake_ms(BIA) == appended.deadline_ms


async def test_worker_dies_with_a_redriven_letter(desk: Desk):
    """A redriven letter is a batch like any other: after a crash it is claimed again as it was."""
    dead = await desk.bury("m1")
    await desk.store.redrive(dead.flush_id)
    await desk.take()
    desk.clock.advance(LEASE_MS)
    again = await desk.take(caller="w2")
    assert (again.flush_id, again.messages, again.attempt) == (dead.flush_id, dead.messages, 2)
