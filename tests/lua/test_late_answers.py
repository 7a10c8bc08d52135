"""Answers that come after the call: the batch waits without a lease, and the first answer counts."""

from __future__ import annotations

import pytest

from buffer.late_answers import LateAnswers
from buffer.models import Batch, Claim, PauseMode, PostedAnswer
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids

WITHIN_MS = 300_000
OI = PostedAnswer("application/json", b'{"reply": "oi"}')


@pytest.fixture
def late(driver: ScriptDriver) -> LateAnswers:
    return LateAnswers(driver.store)


async def waiting(driver: ScriptDriver, late: LateAnswers) -> Batch:
    """A batch that the agent has taken and will answer later."""
    batch = await driver.in_flight("m1")
    assert await late.wait(driver.ref(), batch.token, WITHIN_MS) == "waiting"
    return batch


async def test_answer_in_time(driver: ScriptDriver, late: LateAnswers):
    """The batch is due at once, and the claim brings the answer as it was posted. No attempt or crash is counted."""
    batch = await waiting(driver, late)
    assert await driver.wake_ms() == driver.clock() + WITHIN_MS
    assert await driver.redis.exists(driver.key("lock")) == 0
    now_ms = driver.clock.advance(100_000)
    assert await late.post(batch.flush_id, OI) == "stored"
    assert await driver.wake_ms() == now_ms
    again = await driver.claim_batch(caller="w2")
    assert (again.flush_id, again.messages) == (batch.flush_id, batch.messages)
    assert (again.awaited, again.posted, again.failures, again.crashes) == (True, OI, 0, 0)


async def test_nothing_overtakes_it(driver: ScriptDriver, late: LateAnswers):
    """The conversation counts as in flight: what the person writes meanwhile waits behind."""
    batch = await waiting(driver, late)
    await driver.append("m2")
    now_ms = driver.clock.advance(WINDOW_MS)
    assert (await driver.claim(caller="w2")) == Claim("busy", None, now_ms - WINDOW_MS + WITHIN_MS)
    [found] = (await driver.store.pending(0))[1]
    assert found.state == "in_flight"
    await late.post(batch.flush_id, OI)
    again = await driver.claim_batch(caller="w2")
    await driver.store.answered(driver.ref(), again.token, b"{}")
    await driver.store.ack(driver.ref(), again.token)
    assert ids(await driver.claim_batch(caller="w3")) == ["m2"]


async def test_no_answer_in_time(driver: ScriptDriver, late: LateAnswers):
    """The claim says that it was awaited. The next attempt begins without the mark, and may wait again."""
    batch = await waiting(driver, late)
    driver.clock.advance(WITHIN_MS)
    over = await driver.claim_batch(caller="w2")
    assert (over.awaited, over.posted) == (True, None)
    assert await late.post(batch.flush_id, OI) == "early"
    await driver.fail(over.token, "retry", delay_ms=1_000)
    driver.clock.advance(1_000)
    again = await driver.claim_batch(caller="w3")
    assert (again.awaited, again.failures) == (False, 1)
    assert await late.wait(driver.ref(), again.token, WITHIN_MS) == "waiting"
    assert await late.post(batch.flush_id, OI) == "stored"


async def test_answer_after_its_time(driver: ScriptDriver, late: LateAnswers):
    """As long as nobody has the batch, an answer that comes late is taken all the same."""
    batch = await waiting(driver, late)
    driver.clock.advance(2 * WITHIN_MS)
    assert await late.post(batch.flush_id, OI) == "stored"
    assert (await driver.claim_batch(caller="w2")).posted == OI


async def test_the_first_answer_counts(driver: ScriptDriver, late: LateAnswers):
    """A repeated answer changes nothing, also after the flush has ended; another one is refused."""
    batch = await waiting(driver, late)
    other = PostedAnswer("text/plain", b"other")
    assert [await late.post(batch.flush_id, one) for one in (OI, OI, other)] == ["stored", "stored", "other"]
    again = await driver.claim_batch(caller="w2")
    assert again.posted == OI
    assert await late.post(batch.flush_id, OI) == "stored"
    await driver.store.answered(driver.ref(), again.token, b"{}")
    await driver.store.ack(driver.ref(), again.token)
    assert await late.post(batch.flush_id, OI) == "stored"
    assert not {"posted", "posted_type", "awaited_ms"} & (await driver.conv()).keys()
    for number in range(2, 5):
        await driver.append(f"m{number}")
        driver.clock.advance(WINDOW_MS)
        after = await driver.claim_batch(caller=f"v{number}")
        await late.wait(driver.ref(), after.token, WITHIN_MS)
        assert await late.post(after.flush_id, other) == "stored"
        taken = await driver.claim_batch(caller=f"x{number}")
        await driver.store.ack(driver.ref(), taken.token)
        assert await late.post(batch.flush_id, OI) == "stored"
    assert len((await driver.conv())["posted_for"].split()) == 4
    assert (await driver.claim(caller="w3")).status == "empty"


async def test_answer_before_the_call_has_ended(driver: ScriptDriver, late: LateAnswers):
    """The worker is still calling the agent: it might bring another answer. The poster comes again."""
    batch = await driver.in_flight("m1")
    assert await late.post(batch.flush_id, OI) == "early"
    assert await late.wait(driver.ref(), batch.token, WITHIN_MS) == "waiting"
    assert await late.wait(driver.ref(), batch.token, WITHIN_MS) == "waiting"
    assert await late.post(batch.flush_id, OI) == "stored"


@pytest.mark.parametrize("how", ["timed out", "worker died"])
async def test_answer_of_a_call_that_broke_off(driver: ScriptDriver, late: LateAnswers, how: str):
    """The agent has run, though its call got no answer: the posted one saves a repeat."""
    batch = await driver.in_flight("m1")
    if how == "timed out":
        await driver.fail(batch.token, "retry", delay_ms=60_000)
    else:
        driver.clock.advance(LEASE_MS)
    assert await late.post(batch.flush_id, OI) == "stored"
    again = await driver.claim_batch(caller="w2")
    assert (again.flush_id, again.awaited, again.posted) == (batch.flush_id, True, OI)
    assert again.crashes == (how == "worker died")


@pytest.mark.parametrize("how", ["discard", "takeover", "other id"])
async def test_nothing_waits_for_it(driver: ScriptDriver, late: LateAnswers, how: str):
    """A batch that is gone takes no answer."""
    batch = await waiting(driver, late)
    if how == "discard":
        await driver.store.discard(ANA)
    elif how == "takeover":
        await driver.store.pause(ANA, 1_000, PauseMode.TAKEOVER)
    flush_id = batch.flush_id if how != "other id" else f"{driver.ref()}-1-xyz"
    assert await late.post(flush_id, OI) == "unknown"


async def test_a_lost_lease_waits_for_nothing(driver: ScriptDriver, late: LateAnswers):
    """A worker that has lost its lease, or whose batch was cancelled, changes nothing."""
    batch = await driver.in_flight("m1")
    assert await late.wait(driver.ref(), "9:other", WITHIN_MS) == "lost"
    await driver.store.discard(ANA)
    assert await late.wait(driver.ref(), batch.token, WITHIN_MS) == "cancelled"
