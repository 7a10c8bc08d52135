"""presence: the person is typing or recording, or has stopped."""

from __future__ import annotations

import random

import pytest

from buffer.deadlines import quiet_deadline_ms
from buffer.insights import Insights
from buffer.models import PauseMode
from tests.conversation_hash import pack_window
from tests.held_burst import HeldBurst
from tests.lua.aliases import LID, PHONE, linked
from tests.lua.driver import ANA, BIA, MAX_WAIT_MS, WINDOW_MS, ScriptDriver

HOLD_MS, GRACE_MS = 12_000, 1_500


async def test_typing_holds_the_burst(driver: ScriptDriver):
    """Typing during an open burst moves deadline, wake entry and timer to the hold from now."""
    await driver.append("m1")
    now_ms = driver.clock.advance(5_000)
    await driver.redis.pexpire(driver.key("timer"), 500)
    assert await driver.store.presence(ANA, "typing") == now_ms + HOLD_MS
    assert await driver.wake_ms() == now_ms + HOLD_MS
    assert await driver.redis.pttl(driver.key("timer")) > 500
    driver.clock.advance(HOLD_MS - 1)
    assert (await driver.claim()).status == "early"
    driver.clock.advance(1)
    assert (await driver.claim_batch()).reason == "quiet"


async def test_hold_of_the_settings(open_driver):
    """TYPING_HOLD says how long."""
    driver = open_driver(typing_hold=20)
    await driver.append("m1")
    assert await driver.store.presence(ANA, "typing") == driver.clock() + 20_000


async def test_never_shorter(open_driver):
    """A hold shorter than the rest of the window changes nothing, and there is nothing to let go."""
    driver = open_driver(typing_hold=2)
    [appended] = await driver.append("m1")
    driver.clock.advance(1_000)
    assert await driver.store.presence(ANA, "typing") == 0
    assert await driver.store.presence(ANA, "stopped") == 0
    assert await driver.wake_ms() == appended.deadline_ms


async def test_no_hold(open_driver):
    """With TYPING_HOLD=0 typing does not even touch a burst that is due."""
    driver = open_driver(typing_hold=0)
    [appended] = await driver.append("m1")
    driver.clock.advance(WINDOW_MS + 10)
    assert await driver.store.presence(ANA, "typing") == 0
    assert int((await driver.conv())["deadline_ms"]) == appended.deadline_ms


async def test_never_past_the_longest_wait(driver: ScriptDriver):
    """A person who types for ever gets an answer the longest wait after the first message."""
    opened_ms = driver.clock()
    await driver.append("m1")
    for _ in range(12):
        driver.clock.advance(5_000)
        await driver.store.presence(ANA, "typing")
    assert await driver.wake_ms() == opened_ms + MAX_WAIT_MS
    assert (await driver.claim_batch()).reason == "max_wait"


@pytest.mark.parametrize("kind", ["typing", "stopped"])
async def test_never_opens_a_burst(open_driver, kind):
    """A signal in an unknown conversation leaves no trace, whatever the route notes."""
    driver = open_driver(message_buffer_timeout_typing=3)
    assert await driver.store.presence(ANA, kind) == 0
    assert await driver.all_keys() == []


async def test_fired_deadline_stays(driver: ScriptDriver):
    """Neither signal delays the burst after a flush keyword."""
    [fired] = await driver.append("m1", keyword=True)
    driver.clock.advance(100)
    assert await driver.store.presence(ANA, "typing") == 0
    assert await driver.store.presence(ANA, "stopped") == 0
    assert await driver.wake_ms() == fired.deadline_ms


async def test_flush_now_ends_a_hold(driver: ScriptDriver):
    """A held burst that an operator flushes is not let go later."""
    await driver.append("m1")
    await driver.store.presence(ANA, "typing")
    assert await driver.store.flush_now(ANA) == 1
    assert await driver.store.presence(ANA, "stopped") == 0
    assert await driver.wake_ms() == driver.clock()


async def test_behind_a_batch_in_flight(driver: ScriptDriver):
    """The next burst's deadline moves to and fro, the lease's wake entry does not."""
    batch = await driver.in_flight("m1")
    lease_ms = await driver.wake_ms()
    await driver.append("m2")
    now_ms = driver.clock.advance(3_000)
    assert await driver.store.presence(ANA, "typing") == now_ms + HOLD_MS
    assert await driver.wake_ms() == lease_ms
    now_ms = driver.clock.advance(6_000)
    assert await driver.store.presence(ANA, "stopped") == now_ms + GRACE_MS
    assert await driver.wake_ms() == lease_ms
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.wake_ms() == now_ms + GRACE_MS


@pytest.mark.parametrize("kind", ["typing", "stopped"])
async def test_in_flight_nothing_opens(driver: ScriptDriver, kind):
    """A signal during the agent's call, without a new message, changes nothing."""
    await driver.in_flight("m1")
    before = await driver.conv()
    assert await driver.store.presence(ANA, kind) == 0
    assert await driver.conv() == before


async def test_in_a_paused_conversation(driver: ScriptDriver):
    """The wake entry stays at the end of the pause, and the deadline moves."""
    until_ms = await driver.store.pause(ANA, 30_000)
    [appended] = await driver.append("m1")
    driver.clock.advance(1_000)
    assert await driver.store.presence(ANA, "typing") == driver.clock() + HOLD_MS
    assert await driver.wake_ms() == until_ms
    assert await driver.store.presence(ANA, "stopped") == appended.deadline_ms
    assert await driver.wake_ms() == until_ms


async def test_stopped_lets_go_at_the_window(driver: ScriptDriver):
    """A person who stops soon is answered when the window of their last message is over."""
    [appended] = await driver.append("m1")
    driver.clock.advance(1_000)
    await driver.store.presence(ANA, "typing")
    driver.clock.advance(1_000)
    assert await driver.store.presence(ANA, "stopped") == appended.deadline_ms
    assert await driver.wake_ms() == appended.deadline_ms
    driver.clock.advance(WINDOW_MS - 2_000)
    assert (await driver.claim_batch()).reason == "quiet"


async def test_stopped_lets_go_after_the_grace(driver: ScriptDriver):
    """A person who stops after the window has the grace."""
    await driver.append("m1")
    driver.clock.advance(5_000)
    await driver.store.presence(ANA, "typing")
    now_ms = driver.clock.advance(6_000)
    assert await driver.store.presence(ANA, "stopped") == now_ms + GRACE_MS
    assert await driver.wake_ms() == now_ms + GRACE_MS
    assert 0 < await driver.redis.pttl(driver.key("timer")) <= GRACE_MS


async def test_grace_at_the_end_of_the_hold(driver: ScriptDriver):
    """A person who stops at the end of the hold has the whole grace."""
    await driver.append("m1")
    await driver.store.presence(ANA, "typing")
    now_ms = driver.clock.advance(HOLD_MS - 100)
    assert await driver.store.presence(ANA, "stopped") == now_ms + GRACE_MS


async def test_stopped_without_a_hold(driver: ScriptDriver):
    """A person of whom no typing was seen keeps the window."""
    [appended] = await driver.append("m1")
    driver.clock.advance(WINDOW_MS - 100)
    assert await driver.store.presence(ANA, "stopped") == 0
    assert await driver.wake_ms() == appended.deadline_ms


async def test_a_deadline_that_no_hold_has_set_stays(driver: ScriptDriver):
    """Two bursts that became one may be due later than the window of their last message: that is no hold."""
    await driver.append("m1")
    now_ms = driver.clock()
    window = pack_window(
        now_ms, now_ms + 2 * WINDOW_MS, len(await driver.redis.lindex(driver.key("buffer"), 0)) - 25, 1
    )
    await driver.redis.hset(driver.key("conv"), "window", window)
    assert await driver.store.presence(ANA, "stopped") == 0


async def test_stopped_twice(driver: ScriptDriver):
    """`paused` and then `unavailable` are one end: the second moves nothing."""
    await driver.append("m1")
    driver.clock.advance(7_000)
    await driver.store.presence(ANA, "typing")
    now_ms = driver.clock.advance(5_000)
    assert await driver.store.presence(ANA, "stopped") == now_ms + GRACE_MS
    driver.clock.advance(1_000)
    assert await driver.store.presence(ANA, "stopped") == 0
    assert await driver.wake_ms() == now_ms + GRACE_MS


async def test_typing_again(driver: ScriptDriver):
    """A person who goes on after a pause is waited for again, and let go again."""
    await driver.append("m1")
    for _ in range(2):
        now_ms = driver.clock.advance(5_000)
        assert await driver.store.presence(ANA, "typing") == now_ms + HOLD_MS
        now_ms = driver.clock.advance(9_000 - 5_000)
        assert await driver.store.presence(ANA, "stopped") == now_ms + GRACE_MS


async def test_stopped_before_typing(driver: ScriptDriver):
    """Signals in the wrong order: the hold stays, and ends by itself."""
    await driver.append("m1")
    now_ms = driver.clock.advance(5_000)
    assert await driver.store.presence(ANA, "stopped") == 0
    assert await driver.store.presence(ANA, "typing") == now_ms + HOLD_MS
    driver.clock.advance(HOLD_MS)
    assert (await driver.claim_batch()).reason == "quiet"


async def test_stopped_late(driver: ScriptDriver):
    """When the hold is over, a late signal does not prolong it."""
    await driver.append("m1")
    await driver.store.presence(ANA, "typing")
    driver.clock.advance(HOLD_MS)
    assert await driver.store.presence(ANA, "stopped") == 0
    assert (await driver.claim_batch()).reason == "quiet"


async def test_stopped_never_past_the_longest_wait(open_driver):
    """Nor does the grace go past the longest wait."""
    driver = open_driver(typing_hold=59, typing_grace=30)
    opened_ms = driver.clock()
    await driver.append("m1")
    assert await driver.store.presence(ANA, "typing") == opened_ms + 59_000
    driver.clock.advance(50_000)
    assert await driver.store.presence(ANA, "stopped") == opened_ms + MAX_WAIT_MS


async def test_a_message_ends_the_hold(driver: ScriptDriver):
    """A message that comes while the burst is held has its own window, and what stops then is not the hold."""
    await driver.append("m1")
    driver.clock.advance(1_000)
    await driver.store.presence(ANA, "typing")
    driver.clock.advance(1_000)
    [appended] = await driver.append("m2")
    assert appended.deadline_ms == driver.clock() + WINDOW_MS == await driver.wake_ms()
    driver.clock.advance(WINDOW_MS - 500)
    assert await driver.store.presence(ANA, "stopped") == 0
    assert await driver.wake_ms() == appended.deadline_ms


async def test_no_hold_in_the_next_burst(driver: ScriptDriver):
    """The hold of a burst says nothing of the next one."""
    await driver.append("m1")
    await driver.store.presence(ANA, "typing")
    driver.clock.advance(HOLD_MS)
    batch = await driver.claim_batch()
    await driver.store.ack(driver.ref(), batch.token)
    [appended] = await driver.append("m2")
    assert await driver.store.presence(ANA, "stopped") == 0
    assert await driver.wake_ms() == appended.deadline_ms


async def test_dispatchers_hear_of_an_earlier_deadline(driver: ScriptDriver):
    """A burst that is let go wakes the dispatchers, which sleep until the hold ends."""
    await driver.append("m1")
    driver.clock.advance(5_000)
    await driver.store.presence(ANA, "typing")
    driver.clock.advance(5_000)
    async with driver.redis.pubsub() as listener:
        await listener.subscribe(driver.partition_key("wake"))
        assert (await listener.get_message(timeout=30))["type"] == "subscribe"
        await driver.store.presence(ANA, "stopped")
        assert (await listener.get_message(timeout=30))["type"] == "message"


@pytest.mark.parametrize("mode", list(PauseMode))
async def test_takeover_keeps_nothing_of_a_hold(driver: ScriptDriver, mode: PauseMode):
    """After a pause that discards or keeps the burst, a signal moves only a burst that is still there."""
    await driver.append("m1")
    await driver.store.presence(ANA, "typing")
    until_ms = await driver.store.pause(ANA, 30_000, mode)
    moved_ms = await driver.store.presence(ANA, "stopped")
    assert (moved_ms == 0) == (mode is PauseMode.TAKEOVER)
    assert await driver.wake_ms() == until_ms


# The note of the last signal


async def test_last_signal_is_noted(open_driver):
    """A route with a window for people whose typing is seen notes every signal of a known person, to ten seconds."""
    driver = open_driver(message_buffer_timeout_typing=3)
    await driver.append("m1")
    noted_ms = driver.clock()
    await driver.store.presence(ANA, "stopped")
    assert (await driver.conv())["presence_ms"] == str(noted_ms)
    driver.clock.advance(9_999)
    await driver.store.presence(ANA, "typing")
    assert (await driver.conv())["presence_ms"] == str(noted_ms)
    driver.clock.advance(1)
    await driver.store.presence(ANA, "typing")
    assert (await driver.conv())["presence_ms"] == str(driver.clock())


async def test_other_routes_note_nothing(driver: ScriptDriver):
    """Where nobody asks for it, nothing is written."""
    await driver.append("m1")
    await driver.store.presence(ANA, "typing")
    assert "presence_ms" not in await driver.conv()


async def test_shorter_window_of_a_person_whose_typing_is_seen(open_driver):
    """For a minute after a signal a message has MESSAGE_BUFFER_TIMEOUT_TYPING, and the record tells why."""
    driver = open_driver(message_buffer_timeout_typing=3)
    [before] = await driver.append("m1")
    assert before.deadline_ms == driver.clock() + WINDOW_MS
    await driver.store.presence(ANA, "typing")
    [after] = await driver.append("m2")
    assert after.deadline_ms == driver.clock() + 3_000 == await driver.wake_ms()
    driver.clock.advance(3_000)
    batch = await driver.claim_batch()
    await driver.store.ack(driver.ref(), batch.token)
    [record] = (await Insights(driver.store).flushes(1)).items
    assert (record.window_ms, record.window_why, record.is_held) == (3_000, "typing", True)


@pytest.mark.parametrize(("after_ms", "window_ms"), [(59_999, 3_000), (60_000, WINDOW_MS)])
async def test_signals_that_have_stopped_count_nothing(open_driver, after_ms: int, window_ms: int):
    """A minute after the last signal the conversation is like one without."""
    driver = open_driver(message_buffer_timeout_typing=3)
    batch = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), batch.token)
    await driver.store.presence(ANA, "stopped")
    driver.clock.advance(after_ms)
    [appended] = await driver.append("m2")
    assert appended.deadline_ms == driver.clock() + window_ms


async def test_never_longer_than_it_would_be(open_driver):
    """A first message with a shorter window keeps that, one with a longer window gets the typing window."""
    driver = open_driver(message_buffer_timeout_typing=3, message_buffer_first=2)
    for number, window_ms in enumerate((2_000, 2_000)):
        [appended] = await driver.append(f"m{number}")
        assert appended.deadline_ms == driver.clock() + window_ms
        driver.clock.advance(window_ms)
        batch = await driver.claim_batch()
        await driver.store.ack(driver.ref(), batch.token)
        await driver.store.presence(ANA, "typing")
    longer = open_driver(message_buffer_timeout_typing=3, message_buffer_first=5)
    [appended] = await longer.append("m9")
    assert appended.deadline_ms == driver.clock() + 3_000


async def test_the_window_of_others_stays(open_driver):
    """A signal of one person is none of another."""
    driver = open_driver(message_buffer_timeout_typing=3)
    await driver.append("m1")
    await driver.append("b1", to=BIA)
    await driver.store.presence(ANA, "typing")
    [appended] = await driver.append("b2", to=BIA)
    assert appended.deadline_ms == driver.clock() + WINDOW_MS


async def test_routes_without_the_setting_do_not_look(open_driver):
    """What another route has noted changes no window here."""
    noting, driver = open_driver(message_buffer_timeout_typing=3), open_driver()
    await driver.append("m1")
    await noting.store.presence(ANA, "typing")
    [appended] = await driver.append("m2")
    assert appended.deadline_ms == driver.clock() + WINDOW_MS


@pytest.mark.parametrize("other_first", [False, True])
async def test_the_note_survives_a_merge(open_driver, other_first: bool):
    """Two names turn out to be one person: what was seen of either is known of both."""
    driver = open_driver(message_buffer_timeout_typing=3)
    for who in (LID, PHONE) if other_first else (PHONE, LID):
        await driver.append(who.peer, to=who)
    await driver.store.presence(LID, "typing")
    [appended] = await driver.store.append([linked("m3")])
    assert appended.deadline_ms == driver.clock() + 3_000


# The pure functions


@pytest.mark.parametrize("seed", range(8))
async def test_the_script_is_the_pure_functions(open_driver, seed: int):
    """Messages, signals and time at random: every deadline is what buffer/deadlines.py says."""
    chance = random.Random(seed)
    hold_s, grace_s, max_wait_s = chance.uniform(0, 30), chance.uniform(0, 9), chance.uniform(9, 60)
    driver = open_driver(typing_hold=hold_s, typing_grace=grace_s, message_buffer_max_wait=max_wait_s)
    settings, burst = driver.store.settings, None
    for step in range(150):
        now_ms = driver.clock.advance(chance.choice([0, 1, 40, 700, 2_500, 7_000]))
        action = chance.choice(["message", "typing", "typing", "stopped", "stopped"])
        if action != "message":
            after = burst and burst.after(action, now_ms, settings)
            moved_ms = after.deadline_ms if after and after != burst else 0
            assert await driver.store.presence(ANA, action) == moved_ms
            burst = after
            continue
        if burst and now_ms >= burst.deadline_ms:
            await driver.store.discard(ANA)
            burst = None
        opened_ms, quiet_ms = burst.opened_ms if burst else now_ms, now_ms + WINDOW_MS
        deadline_ms = quiet_deadline_ms(now_ms, WINDOW_MS, opened_ms, settings.max_wait_ms)
        [appended] = await driver.append(f"m{seed}-{step}")
        assert appended.deadline_ms == deadline_ms
        burst = (burst or HeldBurst(opened_ms, 0, 0))._replace(quiet_ms=quiet_ms, deadline_ms=deadline_ms)
