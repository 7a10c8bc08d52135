"""extend: the person is typing or recording."""

from __future__ import annotations

from tests.lua.driver import ANA, MAX_WAIT_MS, WINDOW_MS, Desk


async def test_typing_moves_the_deadline(desk: Desk):
    """Typing in an open burst: deadline, wake entry and timer move to the typing time from now."""
    await desk.say("m1")
    now_ms = desk.clock.advance(5_000)
    await desk.redis.pexpire(desk.key("timer"), 500)
    assert await desk.store.extend(ANA) == now_ms + WINDOW_MS
    assert await desk.wake_ms() == now_ms + WINDOW_MS
    assert await desk.redis.pttl(desk.key("timer")) > 500
    desk.clock.advance(WINDOW_MS - 1)
    assert (await desk.claim()).status == "early"


async def test_typing_time_of_its_own(open_desk):
    """The typing time may differ from the window."""
    desk = open_desk(message_buffer_typing_timeout=20)
    await desk.say("m1")
    assert await desk.store.extend(ANA) == desk.clock() + 20_000


async def test_never_shorter(open_desk):
    """A typing time shorter than what is left of the window changes nothing."""
    desk = open_desk(message_buffer_typing_timeout=2)
    [appended] = await desk.say("m1")
    desk.clock.advance(1_000)
    assert await desk.store.extend(ANA) == 0
    assert await desk.wake_ms() == appended.deadline_ms


async def test_never_past_the_longest_wait(desk: Desk):
    """Somebody who types for ever is answered the longest wait after the first message."""
    opened_ms = desk.clock()
    await desk.say("m1")
    for _ in range(12):
        desk.clock.advance(5_000)
        await desk.store.extend(ANA)
    assert await desk.wake_ms() == opened_ms + MAX_WAIT_MS
    assert (await desk.take()).reason == "max_wait"


async def test_never_opens_a_burst(desk: Desk):
    """Typing in an idle conversation leaves no trace."""
    assert await desk.store.extend(ANA) == 0
    assert await desk.all_keys() == []


async def test_fired_deadline_stays(desk: Desk):
    """Typing after a flush keyword does not hold the burst back."""
    [fired] = await desk.say("m1", keyword=True)
    desk.clock.advance(100)
    assert await desk.store.extend(ANA) == 0
    assert await desk.wake_ms() == fired.deadline_ms


async def test_typing_behind_a_batch_in_flight(desk: Desk):
    """The next burst's deadline moves, the lease's wake entry does not."""
    batch = await desk.in_flight("m1")
    lease_ms = await desk.wake_ms()
    await desk.say("m2")
    now_ms = desk.clock.advance(3_000)
    assert await desk.store.extend(ANA) == now_ms + WINDOW_MS
    assert await desk.wake_ms() == lease_ms
    await desk.store.ack(desk.ref(), batch.token)
    assert await desk.wake_ms() == now_ms + WINDOW_MS


async def test_typing_in_flight_opens_nothing(desk: Desk):
    """Typing while the agent works, with nothing said since, changes nothing."""
    await desk.in_flight("m1")
    before = await desk.conv()
    assert await desk.store.extend(ANA) == 0
    assert await desk.conv() == before


async def test_typing_in_a_held_conversation(desk: Desk):
    """A pause keeps its wake time; the deadline moves behind it."""
    until_ms = await desk.store.pause(ANA, 30_000)
    await desk.say("m1")
    desk.clock.advance(1_000)
    assert await desk.store.extend(ANA) == desk.clock() + WINDOW_MS
    assert await desk.wake_ms() == until_ms
