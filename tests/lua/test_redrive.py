"""redrive: a dead letter is delivered again."""

from __future__ import annotations

import pytest

from buffer.models import Claim
from tests.lua.driver import ANA, BIA, LEASE_MS, WINDOW_MS, ScriptDriver, ids


async def test_same_flush_again(driver: ScriptDriver):
    """A redriven dead letter is due at once: same flush_id, same messages, attempts from the start."""
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


@pytest.mark.parametrize("kind", ["remains", "letter"])
@pytest.mark.parametrize("how", ["missing", "of another type"])
async def test_messages_are_gone(driver: ScriptDriver, kind: str, how: str):
    """A dead letter that has lost its messages or its fields is not redriven, and nothing wakes for it."""
    dead = await driver.make_dead_letter("m1")
    key = driver.store.keys.of(0, kind, dead.flush_id)
    await driver.redis.delete(key)
    if how == "of another type":
        await driver.redis.set(key, "not ours")
    assert await driver.store.redrive(dead.flush_id) == "gone"
    assert await driver.wake_ms() is None
    assert await driver.store.discard_letter(dead.flush_id) == "ok"
    assert await driver.store.redrive(dead.flush_id) == "unknown"


async def test_before_anything_new(driver: ScriptDriver):
    """A redriven dead letter is delivered before a burst that is already due, and the burst does not join it."""
    dead = await driver.make_dead_letter("m1")
    await driver.append("m2")
    driver.clock.advance(WINDOW_MS)
    await driver.store.redrive(dead.flush_id)
    batch = await driver.claim_batch()
    assert ids(batch) == ["m1"]
    await driver.store.ack(driver.ref(), batch.token)
    assert ids(await driver.claim_batch()) == ["m2"]


async def test_open_burst_keeps_its_deadline(driver: ScriptDriver):
    """A redrive does not close the open burst."""
    dead = await driver.make_dead_letter("m1")
    [behind] = await driver.append("m2")
    await driver.store.redrive(dead.flush_id)
    batch = await driver.claim_batch()
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.wake_ms() == behind.deadline_ms
    assert (await driver.claim()).status == "early"


async def test_double_click(driver: ScriptDriver):
    """Two redrives deliver once."""
    dead = await driver.make_dead_letter("m1")
    assert await driver.store.redrive(dead.flush_id) == "ok"
    assert await driver.store.redrive(dead.flush_id) == "already"
    batch = await driver.claim_batch()
    assert await driver.store.redrive(dead.flush_id) == "unknown"
    await driver.store.ack(driver.ref(), batch.token)
    assert (await driver.claim()).status == "empty"


async def test_behind_a_batch_in_flight(driver: ScriptDriver):
    """While another batch is in flight the dead letter waits, and is delivered right after the ack."""
    dead = await driver.make_dead_letter("m1")
    batch = await driver.in_flight("m2")
    lease_ms = await driver.wake_ms()
    await driver.store.redrive(dead.flush_id)
    assert await driver.wake_ms() == lease_ms
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.dispatch() == [driver.ref()]
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_several_dead_letters_in_the_order_asked(driver: ScriptDriver):
    """Dead letters are delivered one at a time, in the order of their redrives."""
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
    """A redriven batch that fails again is a dead letter again and can be redriven."""
    dead = await driver.make_dead_letter("m1")
    for _ in range(2):
        assert await driver.store.redrive(dead.flush_id) == "ok"
        batch = await driver.claim_batch()
        assert await driver.fail(batch.token, "dead") == "dead"
        assert batch.flush_id == dead.flush_id
    assert await driver.redis.zcard(driver.partition_key("dead")) == 1


async def test_stored_answer_is_kept(driver: ScriptDriver):
    """A dead letter with a stored answer keeps it, and the agent is not called again."""
    batch = await driver.in_flight("m1")
    await driver.store.answered(driver.ref(), batch.token, b'{"reply":"x"}')
    await driver.fail(batch.token, "dead")
    await driver.store.redrive(batch.flush_id)
    assert (await driver.claim_batch()).answer == b'{"reply":"x"}'


async def test_answer_of_the_flush_before_is_not(driver: ScriptDriver):
    """A dead letter without an answer does not get the answer of the batch before it."""
    dead = await driver.make_dead_letter("m1")
    batch = await driver.in_flight("m2")
    await driver.store.answered(driver.ref(), batch.token, b"{}")
    await driver.store.redrive(dead.flush_id)
    await driver.store.ack(driver.ref(), batch.token)
    assert (await driver.claim_batch()).answer is None


async def test_while_held(driver: ScriptDriver):
    """In a paused conversation the dead letter is delivered at the end of the pause."""
    dead = await driver.make_dead_letter("m1")
    until_ms = await driver.store.pause(ANA, 30_000)
    await driver.store.redrive(dead.flush_id)
    assert await driver.claim() == Claim("paused", None, until_ms)
    driver.clock.now_ms = until_ms
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_after_the_conversation_was_swept(driver: ScriptDriver):
    """A dead letter outlives its conversation, because it holds everything a flush needs."""
    dead = await driver.make_dead_letter("m1")
    driver.clock.advance(8 * 86_400_000)
    assert await driver.store.sweep(0) == 1
    assert await driver.conv() == {}
    await driver.store.redrive(dead.flush_id)
    batch = await driver.claim_batch()
    assert (batch.flush_id, batch.messages, batch.conversation) == (dead.flush_id, dead.messages, ANA)
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"


async def test_unknown_dead_letter(driver: ScriptDriver):
    """A flush_id without a dead letter returns unknown and changes nothing."""
    batch = await driver.in_flight("m1")
    assert await driver.store.redrive(batch.flush_id) == "unknown"
    assert ids(await driver.claim_batch()) == ["m1"]


@pytest.mark.parametrize("flush_id", ["", "nonsense", "-x", "p0-abc"])
async def test_not_a_flush_id(driver: ScriptDriver, flush_id: str):
    """A text that cannot be a flush_id is refused with a sentence that describes one."""
    with pytest.raises(ValueError, match="<partition>-<hash>"):
        await driver.store.redrive(flush_id)


async def test_dead_letter_removed_by_hand(driver: ScriptDriver):
    """A dead letter whose messages were deleted by hand does not block the next ones."""
    first, second = await driver.make_dead_letter("m1"), await driver.make_dead_letter("m2")
    await driver.store.redrive(first.flush_id)
    await driver.store.redrive(second.flush_id)
    await driver.redis.delete(driver.store.keys.of(0, "remains", first.flush_id))
    assert ids(await driver.claim_batch()) == ["m2"]


async def test_other_conversations_are_not_touched(driver: ScriptDriver):
    """A redrive wakes only its own conversation."""
    dead = await driver.make_dead_letter("m1", to=ANA)
    [appended] = await driver.append("m1", to=BIA)
    await driver.store.redrive(dead.flush_id)
    assert await driver.wake_ms(BIA) == appended.deadline_ms


async def test_worker_dies_with_a_redriven_dead_letter(driver: ScriptDriver):
    """A redriven batch is claimed again unchanged after a crash, as any other."""
    dead = await driver.make_dead_letter("m1")
    await driver.store.redrive(dead.flush_id)
    await driver.claim_batch()
    driver.clock.advance(LEASE_MS)
    again = await driver.claim_batch(caller="w2")
    assert (again.flush_id, again.messages, again.attempt) == (dead.flush_id, dead.messages, 2)
