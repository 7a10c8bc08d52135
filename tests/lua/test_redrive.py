"""redrive: a dead letter is delivered again."""

from __future__ import annotations

import pytest

from tests.lua.driver import ANA, BIA, LEASE_MS, WINDOW_MS, ScriptDriver, ids


async def test_same_flush_again(driver: ScriptDriver):
    """A redriven letter is due at once: same flush_id, same messages, attempts from the start."""
    dead = await driver.make_dead_letter("m1", "m2")
    driver.clock.advance(60_000)
    await driver.append("m3", name="Ana Maria")
    await driver.store.discard(ANA)
    assert await driver.store.redrive(dead.flush_id) == "ok"
    assert await driver.dispatch() == [driver.ref()]
    batch = await driver.claim_batch()
    same = ("flush_id", "messages", "reason", "closed_ms", "separator", "conversation", "name")
    assert {name: getattr(batch, name) for name in same} == {name: getattr(dead, name) for name in same}
    assert (batch.attempt, batch.failures) == (1, 0)
    assert await driver.redis.zcard(driver.partition_key("dead")) == 0
    assert await driver.redis.exists(driver.store.keys.of(0, "letter", dead.flush_id)) == 0
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    assert await driver.wake_ms() is None
    assert (await driver.conv())["name"] == "Ana Maria"


async def test_before_anything_new(driver: ScriptDriver):
    """A redriven letter goes before a burst that is already due, and the burst is not joined to it."""
    dead = await driver.make_dead_letter("m1")
    await driver.append("m2")
    driver.clock.advance(WINDOW_MS)
    await driver.store.redrive(dead.flush_id)
    batch = await driver.claim_batch()
    assert ids(batch) == ["m1"]
    await driver.store.ack(driver.ref(), batch.token)
    assert ids(await driver.claim_batch()) == ["m2"]


async def test_open_burst_keeps_its_deadline(driver: ScriptDriver):
    """A redrive does not close the burst that is open meanwhile."""
    dead = await driver.make_dead_letter("m1")
    [behind] = await driver.append("m2")
    await driver.store.redrive(dead.flush_id)
    batch = await driver.claim_batch()
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.wake_ms() == behind.deadline_ms
    assert (await driver.claim()).status == "early"


async def test_double_click(driver: ScriptDriver):
    """Asking twice delivers once."""
    dead = await driver.make_dead_letter("m1")
    assert await driver.store.redrive(dead.flush_id) == "ok"
    assert await driver.store.redrive(dead.flush_id) == "already"
    batch = await driver.claim_batch()
    assert await driver.store.redrive(dead.flush_id) == "unknown"
    await driver.store.ack(driver.ref(), batch.token)
    assert (await driver.claim()).status == "empty"


async def test_behind_a_batch_in_flight(driver: ScriptDriver):
    """While another batch is in flight the letter waits; it goes right after the ack."""
    dead = await driver.make_dead_letter("m1")
    batch = await driver.in_flight("m2")
    lease_ms = await driver.wake_ms()
    await driver.store.redrive(dead.flush_id)
    assert await driver.wake_ms() == lease_ms
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.dispatch() == [driver.ref()]
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_several_letters_in_the_order_asked(driver: ScriptDriver):
    """Letters go one at a time, in the order in which they were asked for."""
    letters = [await driver.make_dead_letter(name) for name in ("m1", "m2", "m3")]
    for dead in reversed(letters):
        await driver.store.redrive(dead.flush_id)
    delivered = []
    for _ in letters:
        batch = await driver.claim_batch()
        delivered += ids(batch)
        await driver.store.ack(driver.ref(), batch.token)
    assert delivered == ["m3", "m2", "m1"]


async def test_dead_again(driver: ScriptDriver):
    """A letter that fails again is a dead letter again, and can be asked for again."""
    dead = await driver.make_dead_letter("m1")
    for _ in range(2):
        assert await driver.store.redrive(dead.flush_id) == "ok"
        batch = await driver.claim_batch()
        assert await driver.fail(batch.token, "dead") == "dead"
        assert batch.flush_id == dead.flush_id
    assert await driver.redis.zcard(driver.partition_key("dead")) == 1


async def test_stored_answer_is_kept(driver: ScriptDriver):
    """A letter whose agent had answered is not sent to the agent again: its answer comes with it."""
    batch = await driver.in_flight("m1")
    await driver.store.answered(driver.ref(), batch.token, b'{"reply":"x"}')
    await driver.fail(batch.token, "dead")
    await driver.store.redrive(batch.flush_id)
    assert (await driver.claim_batch()).answer == b'{"reply":"x"}'


async def test_answer_of_the_flush_before_is_not(driver: ScriptDriver):
    """A letter without an answer does not inherit one from the batch before it."""
    dead = await driver.make_dead_letter("m1")
    batch = await driver.in_flight("m2")
    await driver.store.answered(driver.ref(), batch.token, b"{}")
    await driver.store.redrive(dead.flush_id)
    await driver.store.ack(driver.ref(), batch.token)
    assert (await driver.claim_batch()).answer is None


async def test_while_held(driver: ScriptDriver):
    """In a held conversation the letter goes at the end of the pause."""
    dead = await driver.make_dead_letter("m1")
    until_ms = await driver.store.pause(ANA, 30_000)
    await driver.store.redrive(dead.flush_id)
    assert await driver.claim() == ("paused", None, until_ms)
    driver.clock.now_ms = until_ms
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_after_the_conversation_was_swept(driver: ScriptDriver):
    """A letter outlives its conversation: everything a flush needs is in the letter."""
    dead = await driver.make_dead_letter("m1")
    driver.clock.advance(8 * 86_400_000)
    assert await driver.store.sweep(0) == 1
    assert await driver.conv() == {}
    await driver.store.redrive(dead.flush_id)
    batch = await driver.claim_batch()
    assert (batch.flush_id, batch.messages, batch.conversation) == (dead.flush_id, dead.messages, ANA)
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"


async def test_unknown_letter(driver: ScriptDriver):
    """A flush_id that is no dead letter is unknown, and changes nothing."""
    batch = await driver.in_flight("m1")
    assert await driver.store.redrive(batch.flush_id) == "unknown"
    assert ids(await driver.claim_batch()) == ["m1"]


@pytest.mark.parametrize("flush_id", ["", "nonsense", "-x", "p0-abc"])
async def test_not_a_flush_id(driver: ScriptDriver, flush_id: str):
    """What cannot be a flush_id is refused with a sentence that says what one looks like."""
    with pytest.raises(ValueError, match="<partition>-<hash>"):
        await driver.store.redrive(flush_id)


async def test_letter_removed_by_hand(driver: ScriptDriver):
    """A letter whose messages somebody deleted does not block those behind it."""
    first, second = await driver.make_dead_letter("m1"), await driver.make_dead_letter("m2")
    await driver.store.redrive(first.flush_id)
    await driver.store.redrive(second.flush_id)
    await driver.redis.delete(driver.store.keys.of(0, "remains", first.flush_id))
    assert ids(await driver.claim_batch()) == ["m2"]


async def test_other_conversations_are_not_touched(driver: ScriptDriver):
    """A redrive wakes its own conversation only."""
    dead = await driver.make_dead_letter("m1", to=ANA)
    [appended] = await driver.append("m1", to=BIA)
    await driver.store.redrive(dead.flush_id)
    assert await driver.wake_ms(BIA) == appended.deadline_ms


async def test_worker_dies_with_a_redriven_letter(driver: ScriptDriver):
    """A redriven letter is a batch like any other: after a crash it is claimed again as it was."""
    dead = await driver.make_dead_letter("m1")
    await driver.store.redrive(dead.flush_id)
    await driver.claim_batch()
    driver.clock.advance(LEASE_MS)
    again = await driver.claim_batch(caller="w2")
    assert (again.flush_id, again.messages, again.attempt) == (dead.flush_id, dead.messages, 2)
