"""answered: the agent's answer is kept under the lease, before any reply."""

from __future__ import annotations

from tests.lua.driver import ANA, LEASE_MS, Desk


async def test_answer_survives_the_worker(desk: Desk):
    """The next worker gets the stored answer with the batch, and need not call the agent."""
    batch = await desk.in_flight("m1")
    answer = '{"reply":"olá 👋"}'.encode()
    assert await desk.store.answered(desk.ref(), batch.token, answer) == "ok"
    desk.clock.advance(LEASE_MS)
    again = await desk.take(caller="w2")
    assert (again.flush_id, again.answer) == (batch.flush_id, answer)


async def test_repeated_answer(desk: Desk):
    """Storing the same answer again after a lost reply answers as the first time."""
    batch = await desk.in_flight("m1")
    for _ in range(2):
        assert await desk.store.answered(desk.ref(), batch.token, b"{}") == "ok"


async def test_answer_leaves_the_lease_alone(desk: Desk):
    """Storing the answer neither extends nor ends the lease."""
    batch = await desk.in_flight("m1")
    desk.clock.advance(1_000)
    wake_ms = await desk.wake_ms()
    await desk.store.answered(desk.ref(), batch.token, b"{}")
    assert await desk.wake_ms() == wake_ms


async def test_answer_is_not_carried_over(desk: Desk):
    """The next burst of the conversation does not find the answer of the one before."""
    batch = await desk.in_flight("m1")
    await desk.store.answered(desk.ref(), batch.token, b"{}")
    await desk.store.ack(desk.ref(), batch.token)
    assert (await desk.in_flight("m2")).answer is None


async def test_cancelled_batch_keeps_no_answer(desk: Desk):
    """A batch discarded while the agent worked: its answer is refused, so that no reply is sent."""
    batch = await desk.in_flight("m1")
    await desk.store.discard(ANA)
    assert await desk.store.answered(desk.ref(), batch.token, b"{}") == "cancelled"
    assert "answer" not in await desk.conv()
