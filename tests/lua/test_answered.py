"""answered: the agent's answer is stored under the lease, before any reply to the person."""

from __future__ import annotations

from tests.lua.driver import ANA, LEASE_MS, ScriptDriver


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
