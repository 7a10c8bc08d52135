"""pause and resume: hold a conversation, or leave it to a human, always with an end."""

from __future__ import annotations

from buffer.models import PauseMode
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, Desk, ids

PAUSE_MS = 30_000


async def test_hold_keeps_what_is_there(desk: Desk):
    """A held conversation is looked at when the pause ends, and delivers then what it holds."""
    await desk.say("m1")
    until_ms = await desk.store.pause(ANA, PAUSE_MS)
    assert until_ms == desk.clock() + PAUSE_MS
    assert await desk.wake_ms() == until_ms
    desk.clock.advance(WINDOW_MS)
    assert await desk.claim() == ("paused", None, until_ms)
    desk.clock.now_ms = until_ms
    assert await desk.due() == [str(desk.ref())]
    assert ids(await desk.take()) == ["m1"]


async def test_pause_has_an_end_by_default(desk: Desk):
    """Nobody needs to remember a pause: without a length it lasts an hour."""
    assert await desk.store.pause(ANA) == desk.clock() + 3_600_000


async def test_hold_before_the_first_message(desk: Desk):
    """A conversation may be held before it ever spoke; its identity is known from then on."""
    await desk.store.pause(ANA, PAUSE_MS)
    conv = await desk.conv()
    assert (conv["gateway"], conv["channel"], conv["peer"], conv["ref"]) == (*ANA, str(desk.ref()))


async def test_takeover_discards_the_open_burst(desk: Desk):
    """A human takes over: what had not been delivered is recorded as discarded."""
    await desk.say("m1", "m2")
    until_ms = await desk.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    [entry] = await desk.history()
    assert (entry["outcome"], entry["cause"], entry["messages"]) == ("discarded", "takeover", 2)
    assert await desk.depth() == 0
    assert await desk.wake_ms() == until_ms


async def test_takeover_cancels_the_batch_in_flight(desk: Desk):
    """The worker that has the batch is told to stop; the record names the takeover."""
    batch = await desk.in_flight("m1")
    lease_ms = await desk.wake_ms()
    until_ms = await desk.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    assert await desk.wake_ms() == lease_ms
    assert await desk.store.renew(desk.ref(), batch.token) == "cancelled"
    assert await desk.fail(batch.token, "release") == "cancelled"
    assert [entry["cause"] for entry in await desk.history()] == ["takeover"]
    assert await desk.wake_ms() == until_ms


async def test_takeover_drops_a_batch_that_waits(desk: Desk):
    """A batch between two attempts is discarded at once."""
    batch = await desk.in_flight("m1")
    await desk.fail(batch.token, "retry", delay_ms=5_000)
    await desk.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    assert [(e["outcome"], e["cause"]) for e in await desk.history()] == [("discarded", "takeover")]
    assert await desk.redis.exists(desk.key("batch")) == 0


async def test_batch_of_a_dead_worker_under_takeover(desk: Desk):
    """A takeover while a dead worker's lease ran: at its end the batch is discarded, not delivered."""
    await desk.in_flight("m1")
    until_ms = await desk.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    desk.clock.advance(LEASE_MS)
    assert await desk.claim(caller="w2") == ("paused", None, until_ms)
    assert [(e["outcome"], e["cause"]) for e in await desk.history()] == [("discarded", "takeover")]


async def test_hold_lets_the_batch_in_flight_end(desk: Desk):
    """A batch that is already with the agent is finished; only then does the pause count."""
    batch = await desk.in_flight("m1")
    lease_ms = await desk.wake_ms()
    until_ms = await desk.store.pause(ANA, PAUSE_MS)
    await desk.say("m2")
    assert await desk.wake_ms() == lease_ms
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"
    assert await desk.wake_ms() == until_ms
    assert (await desk.claim()).status == "paused"


async def test_hold_of_a_batch_that_waits(desk: Desk):
    """A batch between two attempts waits for the end of the pause."""
    batch = await desk.in_flight("m1")
    await desk.fail(batch.token, "retry", delay_ms=5_000)
    until_ms = await desk.store.pause(ANA, PAUSE_MS)
    desk.clock.advance(5_000)
    assert await desk.claim() == ("paused", None, until_ms)
    desk.clock.now_ms = until_ms
    assert ids(await desk.take()) == ["m1"]


async def test_resume_delivers_what_is_overdue_at_once(desk: Desk):
    """After a resume a burst whose deadline has passed is due now."""
    await desk.say("m1")
    await desk.store.pause(ANA, PAUSE_MS)
    desk.clock.advance(WINDOW_MS + 1)
    assert await desk.store.resume(ANA) is True
    assert await desk.due() == [str(desk.ref())]
    assert ids(await desk.take()) == ["m1"]


async def test_resume_keeps_the_deadline(desk: Desk):
    """After a resume a burst that is still collecting is due at its own deadline."""
    [appended] = await desk.say("m1")
    await desk.store.pause(ANA, PAUSE_MS)
    desk.clock.advance(1_000)
    await desk.store.resume(ANA)
    assert await desk.wake_ms() == appended.deadline_ms


async def test_resume_while_a_batch_is_in_flight(desk: Desk):
    """The lease keeps its wake entry."""
    batch = await desk.in_flight("m1")
    lease_ms = await desk.wake_ms()
    await desk.store.pause(ANA, PAUSE_MS)
    await desk.store.resume(ANA)
    assert await desk.wake_ms() == lease_ms
    assert await desk.store.ack(desk.ref(), batch.token) == "ok"


async def test_resume_of_a_batch_that_waits(desk: Desk):
    """The batch comes back at its next attempt, not before and not at the end of the pause."""
    batch = await desk.in_flight("m1")
    await desk.fail(batch.token, "retry", delay_ms=5_000)
    retry_ms = desk.clock() + 5_000
    await desk.store.pause(ANA, PAUSE_MS)
    desk.clock.advance(1_000)
    await desk.store.resume(ANA)
    assert await desk.wake_ms() == retry_ms


async def test_resume_of_an_idle_conversation(desk: Desk):
    """A conversation that holds nothing goes back to the idle index."""
    await desk.store.pause(ANA, PAUSE_MS)
    assert not await desk.is_idle()
    assert await desk.store.resume(ANA) is True
    assert await desk.wake_ms() is None
    assert await desk.is_idle()
    assert await desk.store.resume(ANA) is False


async def test_resume_without_a_pause(desk: Desk):
    """Resuming what was never paused changes nothing."""
    [appended] = await desk.say("m1")
    assert await desk.store.resume(ANA) is False
    assert await desk.wake_ms() == appended.deadline_ms


async def test_resume_after_a_takeover(desk: Desk):
    """After a resume messages are collected again."""
    await desk.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    await desk.store.resume(ANA)
    assert (await desk.say("m1"))[0].status == "new"
    desk.clock.advance(WINDOW_MS)
    assert ids(await desk.take()) == ["m1"]


async def test_longer_and_other_pause(desk: Desk):
    """A second pause replaces the first, in its end and in its mode."""
    await desk.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    until_ms = await desk.store.pause(ANA, 2 * PAUSE_MS, PauseMode.HOLD)
    assert (await desk.say("m1"))[0].status == "new"
    assert await desk.wake_ms() == until_ms


async def test_takeover_with_a_letter_asked_for(desk: Desk):
    """A dead letter that an operator asked for again is kept through a takeover."""
    dead = await desk.bury("m1")
    await desk.store.redrive(dead.flush_id)
    until_ms = await desk.store.pause(ANA, PAUSE_MS, PauseMode.TAKEOVER)
    assert (await desk.claim()).status == "paused"
    desk.clock.now_ms = until_ms
    assert (await desk.take()).flush_id == dead.flush_id
