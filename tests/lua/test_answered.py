"""answered: the agent's answer is stored under the lease, before any reply to the person."""

from __future__ import annotations

from tests.lua.driver import ANA, LEASE_MS, ScriptDriver
from tests.lua.reply_driver import ReplyDriver


async def test_answer_survives_the_worker(driver: ScriptDriver):
    """The next worker gets the stored answer with the batch and need not call the agent."""
    batch = await driver.in_flight("m1")
    answer = '{"reply":"olá 👋"}'.encode()
    assert await driver.store.answered(driver.ref(), batch.token, answer) == "ok"
    driver.clock.advance(LEASE_MS)
    again = await driver.claim_batch(caller="w2")
    assert (again.flush_id, again.answer) == (batch.flush_id, answer)


async def test_repeated_answer(driver: ScriptDriver):
    """Storing the same answer again after a lost reply returns the same as the first time."""
    batch = await driver.in_flight("m1")
    for _ in range(2):
        assert await driver.store.answered(driver.ref(), batch.token, b"{}") == "ok"


async def test_answer_leaves_the_lease_alone(driver: ScriptDriver):
    """Storing the answer neither extends nor ends the lease."""
    batch = await driver.in_flight("m1")
    driver.clock.advance(1_000)
    wake_ms = await driver.wake_ms()
    await driver.store.answered(driver.ref(), batch.token, b"{}")
    assert await driver.wake_ms() == wake_ms


async def test_answer_is_not_carried_over(driver: ScriptDriver):
    """The next burst of the conversation does not get the answer of the previous one."""
    batch = await driver.in_flight("m1")
    await driver.store.answered(driver.ref(), batch.token, b"{}")
    await driver.store.ack(driver.ref(), batch.token)
    assert (await driver.in_flight("m2")).answer is None


async def test_cancelled_batch_keeps_no_answer(driver: ScriptDriver):
    """The answer for a batch that was cancelled during the call is refused, so that no reply is sent."""
    batch = await driver.in_flight("m1")
    await driver.store.discard(ANA)
    assert await driver.store.answered(driver.ref(), batch.token, b"{}") == "cancelled"
    assert "answer" not in await driver.conv()


async def test_parts_of_an_answer(driver: ScriptDriver, replies: ReplyDriver):
    """The next worker gets the numbers of the parts with the answer."""
    await replies.answered("olá", "tudo bem?")
    driver.clock.advance(LEASE_MS)
    again = await driver.claim_batch(caller="w2")
    assert (again.next_part, again.last_part, again.doubted_part) == (1, 2, 0)


async def test_pace_of_the_first_part(driver: ScriptDriver, replies: ReplyDriver):
    """With a delay the lease is given back, and the first part waits in the wake index."""
    batch = await driver.in_flight("m1")
    for _ in range(2):
        assert await replies.answer(batch, "olá", delay_ms=4_000) == "later"
    assert await driver.wake_ms() == driver.clock() + 4_000
    assert "token" not in await driver.conv()
    assert (await driver.claim(caller="w2")).status == "busy"
    driver.clock.advance(4_000)
    assert (await driver.claim_batch(caller="w2")).next_part == 1


async def test_delay_without_parts(driver: ScriptDriver, replies: ReplyDriver):
    """An answer without parts has nothing to wait for."""
    batch = await driver.in_flight("m1")
    assert await replies.answer(batch, delay_ms=4_000) == "ok"


async def test_late_repeat(driver: ScriptDriver, replies: ReplyDriver):
    """A call that arrives when the first part was sent already starts nothing anew, and keeps the first answer."""
    batch = await driver.in_flight("m1")
    await replies.answer(batch, "olá", "tudo bem?", answer=b"first")
    await replies.send(batch)
    assert await replies.answer(batch, "olá", answer=b"second") == "ok"
    assert (await replies.begin(batch)).mark == "lost"
    conv = await driver.conv()
    assert (conv["answer"], conv["next_part"]) == ("first", "2")
