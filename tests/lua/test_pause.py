"""pause and resume: hold a conversation, or leave it to a human, always until a given end."""

from __future__ import annotations

from buffer.models import Claim, PauseMode
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids

PAUSE_MS = 30_000


async def test_hold_keeps_what_is_there(driver: ScriptDriver):
    """A paused conversation is due at the end of the pause and then delivers its messages."""
    await driver.append("m1")
    until_ms = await driver.store.pause(ANA, PAUSE_MS)
    assert until_ms == driver.clock() + PAUSE_MS
    assert await driver.wake_ms() == until_ms
    driver.clock.advance(WINDOW_MS)
    assert await driver.claim() == Claim("paused", None, until_ms)
    driver.clock.now_ms = until_ms
    assert await driver.dispatch() == [driver.ref()]
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_pause_has_an_end_by_default(driver: ScriptDriver):
    """A pause without a length lasts an hour."""
    assert await driver.store.pause(ANA) == driver.clock() + 3_600_000


async def test_hold_before_the_first_message(driver: ScriptDriver):
    """A conversation may be paused before its first message, and its identity is stored then."""
    await driver.store.pause(ANA, PAUSE_MS)
    conv = await driver.conv()
    assert (conv["gateway"], conv["channel"], conv["peer"], conv["ref"]) == (*ANA, str(driver.ref()))


async def test_takeover_discards_the_open_burst(driver: ScriptDriver):
    """A takeover discards the open burst with a record."""
    await driver.append("m1", "m2")
    until_ms = await driver.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    [entry] = await driver.history()
    assert (entry["outcome"], entry["cause"], entry["messages"]) == ("discarded", "takeover", 2)
    assert await driver.depth() == 0
    assert await driver.wake_ms() == until_ms


async def test_takeover_cancels_the_batch_in_flight(driver: ScriptDriver):
    """The worker of the batch gets `cancelled`, and the record names the takeover."""
    batch = await driver.in_flight("m1")
    lease_ms = await driver.wake_ms()
    until_ms = await driver.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    assert await driver.wake_ms() == lease_ms
    assert await driver.store.renew(driver.ref(), batch.token) == "cancelled"
    assert await driver.fail(batch.token, "release") == "cancelled"
    assert [entry["cause"] for entry in await driver.history()] == ["takeover"]
    assert await driver.wake_ms() == until_ms


async def test_takeover_drops_a_batch_that_waits(driver: ScriptDriver):
    """A takeover discards a batch between two attempts at once."""
    batch = await driver.in_flight("m1")
    await driver.fail(batch.token, "retry", delay_ms=5_000)
    await driver.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    assert [(e["outcome"], e["cause"]) for e in await driver.history()] == [("discarded", "takeover")]
    assert await driver.redis.exists(driver.key("batch")) == 0


async def test_batch_of_a_dead_worker_under_takeover(driver: ScriptDriver):
    """A takeover during the lease of a dead worker: at its end the batch is discarded, not delivered."""
    await driver.in_flight("m1")
    until_ms = await driver.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    driver.clock.advance(LEASE_MS)
    assert await driver.claim(caller="w2") == Claim("paused", None, until_ms)
    assert [(e["outcome"], e["cause"]) for e in await driver.history()] == [("discarded", "takeover")]


async def test_hold_lets_the_batch_in_flight_end(driver: ScriptDriver):
    """A pause does not stop a batch in flight. It counts after its ack."""
    batch = await driver.in_flight("m1")
    lease_ms = await driver.wake_ms()
    until_ms = await driver.store.pause(ANA, PAUSE_MS)
    await driver.append("m2")
    assert await driver.wake_ms() == lease_ms
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    assert await driver.wake_ms() == until_ms
    assert (await driver.claim()).status == "paused"


async def test_hold_of_a_batch_that_waits(driver: ScriptDriver):
    """A batch between two attempts waits for the end of the pause."""
    batch = await driver.in_flight("m1")
    await driver.fail(batch.token, "retry", delay_ms=5_000)
    until_ms = await driver.store.pause(ANA, PAUSE_MS)
    driver.clock.advance(5_000)
    assert await driver.claim() == Claim("paused", None, until_ms)
    driver.clock.now_ms = until_ms
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_resume_delivers_what_is_overdue_at_once(driver: ScriptDriver):
    """After a resume a burst whose deadline has passed is due now."""
    await driver.append("m1")
    await driver.store.pause(ANA, PAUSE_MS)
    driver.clock.advance(WINDOW_MS + 1)
    assert await driver.store.resume(ANA) is True
    assert await driver.dispatch() == [driver.ref()]
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_resume_keeps_the_deadline(driver: ScriptDriver):
    """After a resume a burst that is still collecting is due at its own deadline."""
    [appended] = await driver.append("m1")
    await driver.store.pause(ANA, PAUSE_MS)
    driver.clock.advance(1_000)
    await driver.store.resume(ANA)
    assert await driver.wake_ms() == appended.deadline_ms


async def test_resume_while_a_batch_is_in_flight(driver: ScriptDriver):
    """A resume keeps the wake entry of a lease."""
    batch = await driver.in_flight("m1")
    lease_ms = await driver.wake_ms()
    await driver.store.pause(ANA, PAUSE_MS)
    await driver.store.resume(ANA)
    assert await driver.wake_ms() == lease_ms
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"


async def test_resume_of_a_batch_that_waits(driver: ScriptDriver):
    """After a resume the batch is due at its next attempt, neither earlier nor at the end of the pause."""
    batch = await driver.in_flight("m1")
    await driver.fail(batch.token, "retry", delay_ms=5_000)
    retry_ms = driver.clock() + 5_000
    await driver.store.pause(ANA, PAUSE_MS)
    driver.clock.advance(1_000)
    await driver.store.resume(ANA)
    assert await driver.wake_ms() == retry_ms


async def test_resume_of_an_idle_conversation(driver: ScriptDriver):
    """After a resume a conversation that holds nothing is in the idle index."""
    await driver.store.pause(ANA, PAUSE_MS)
    assert not await driver.is_idle()
    assert await driver.store.resume(ANA) is True
    assert await driver.wake_ms() is None
    assert await driver.is_idle()
    assert await driver.store.resume(ANA) is False


async def test_resume_without_a_pause(driver: ScriptDriver):
    """A resume without a pause changes nothing."""
    [appended] = await driver.append("m1")
    assert await driver.store.resume(ANA) is False
    assert await driver.wake_ms() == appended.deadline_ms


async def test_resume_after_a_takeover(driver: ScriptDriver):
    """After a resume messages are kept again."""
    await driver.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    await driver.store.resume(ANA)
    assert (await driver.append("m1"))[0].status == "new"
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_longer_and_other_pause(driver: ScriptDriver):
    """A second pause replaces the first, in its end and in its mode."""
    await driver.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    until_ms = await driver.store.pause(ANA, 2 * PAUSE_MS, PauseMode.HOLD)
    assert (await driver.append("m1"))[0].status == "new"
    assert await driver.wake_ms() == until_ms


async def test_takeover_with_a_redriven_dead_letter(driver: ScriptDriver):
    """A takeover keeps a redriven dead letter."""
    dead = await driver.make_dead_letter("m1")
    await driver.store.redrive(dead.flush_id)
    until_ms = await driver.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    assert (await driver.claim()).status == "paused"
    driver.clock.now_ms = until_ms
    assert (await driver.claim_batch()).flush_id == dead.flush_id
