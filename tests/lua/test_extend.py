"""extend: the person is typing or recording."""

from __future__ import annotations

from tests.lua.driver import ANA, MAX_WAIT_MS, WINDOW_MS, ScriptDriver


async def test_typing_moves_the_deadline(driver: ScriptDriver):
    """Typing during an open burst moves deadline, wake entry and timer to the typing time from now."""
    await driver.append("m1")
    now_ms = driver.clock.advance(5_000)
    await driver.redis.pexpire(driver.key("timer"), 500)
    assert await driver.store.extend(ANA) == now_ms + WINDOW_MS
    assert await driver.wake_ms() == now_ms + WINDOW_MS
    assert await driver.redis.pttl(driver.key("timer")) > 500
    driver.clock.advance(WINDOW_MS - 1)
    assert (await driver.claim()).status == "early"


async def test_typing_time_of_its_own(open_driver):
    """The typing time may differ from the window."""
    driver = open_driver(message_buffer_typing_timeout=20)
    await driver.append("m1")
    assert await driver.store.extend(ANA) == driver.clock() + 20_000


async def test_never_shorter(open_driver):
    """A typing time shorter than the rest of the window changes nothing."""
    driver = open_driver(message_buffer_typing_timeout=2)
    [appended] = await driver.append("m1")
    driver.clock.advance(1_000)
    assert await driver.store.extend(ANA) == 0
    assert await driver.wake_ms() == appended.deadline_ms


async def test_never_past_the_longest_wait(driver: ScriptDriver):
    """A person who types for ever gets an answer the longest wait after the first message."""
    opened_ms = driver.clock()
    await driver.append("m1")
    for _ in range(12):
        driver.clock.advance(5_000)
        await driver.store.extend(ANA)
    assert await driver.wake_ms() == opened_ms + MAX_WAIT_MS
    assert (await driver.claim_batch()).reason == "max_wait"


async def test_never_opens_a_burst(driver: ScriptDriver):
    """Typing in an idle conversation leaves no trace."""
    assert await driver.store.extend(ANA) == 0
    assert await driver.all_keys() == []


async def test_fired_deadline_stays(driver: ScriptDriver):
    """Typing after a flush keyword does not delay the burst."""
    [fired] = await driver.append("m1", keyword=True)
    driver.clock.advance(100)
    assert await driver.store.extend(ANA) == 0
    assert await driver.wake_ms() == fired.deadline_ms


async def test_typing_behind_a_batch_in_flight(driver: ScriptDriver):
    """The next burst's deadline moves, the lease's wake entry does not."""
    batch = await driver.in_flight("m1")
    lease_ms = await driver.wake_ms()
    await driver.append("m2")
    now_ms = driver.clock.advance(3_000)
    assert await driver.store.extend(ANA) == now_ms + WINDOW_MS
    assert await driver.wake_ms() == lease_ms
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.wake_ms() == now_ms + WINDOW_MS


async def test_typing_in_flight_opens_nothing(driver: ScriptDriver):
    """Typing during the agent's call, without a new message, changes nothing."""
    await driver.in_flight("m1")
    before = await driver.conv()
    assert await driver.store.extend(ANA) == 0
    assert await driver.conv() == before


async def test_typing_in_a_held_conversation(driver: ScriptDriver):
    """The wake entry stays at the end of the pause, and the deadline moves."""
    until_ms = await driver.store.pause(ANA, 30_000)
    await driver.append("m1")
    driver.clock.advance(1_000)
    assert await driver.store.extend(ANA) == driver.clock() + WINDOW_MS
    assert await driver.wake_ms() == until_ms
