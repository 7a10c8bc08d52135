"""The window that each message brings: it ends its burst, and stays with the batch and the record of its end."""

from __future__ import annotations

import struct

import pytest

from buffer.insight_models import FlushRecord
from buffer.insights import Insights
from buffer.rules import append_rules
from buffer.windows import HELD, WHYS, pack_window
from tests.lua.driver import ANA, BIA, MAX_WAIT_MS, WINDOW_MS, ScriptDriver, ids
from tests.messages import message

RESTARTED = 4
FLAGS_AT, WHY_AT, WINDOW_AT = 31, 30, 26


async def say(driver: ScriptDriver, *names: str, window_ms: int, why: str = "auto_channel", to=ANA) -> int:
    """Append messages with a window. Return the deadline."""
    window = pack_window(window_ms, why)
    results = await driver.store.append([message(name, to)._replace(window=window) for name in names])
    return results[-1].deadline_ms


async def end(driver: ScriptDriver) -> FlushRecord:
    """Claim and acknowledge the burst that is due, and return its record."""
    batch = await driver.claim_batch()
    await driver.store.ack(driver.ref(), batch.token)
    [record] = (await Insights(driver.store).flushes(1)).items
    return record


async def set_flags(driver: ScriptDriver, flags: int, to=ANA) -> None:
    """Set the flags of an open burst, as another script does."""
    window = await driver.redis.hget(driver.key("conv", to), "window")
    window = window[:FLAGS_AT] + bytes([flags]) + window[FLAGS_AT + 1 :]
    await driver.redis.hset(driver.key("conv", to), "window", window)


@pytest.mark.parametrize("why", WHYS)
async def test_a_message_brings_its_window(driver: ScriptDriver, why: str):
    """The window of the message sets the deadline, and the record of the flush has it."""
    assert await say(driver, "m1", window_ms=5_200, why=why) == driver.clock() + 5_200
    assert await driver.wake_ms() == driver.clock() + 5_200
    driver.clock.advance(5_200)
    record = await end(driver)
    assert (record.window_ms, record.window_why, record.is_held) == (5_200, why, False)


async def test_the_newest_message_decides(driver: ScriptDriver):
    """Each message begins its own quiet time, a shorter one too; messages of one call may differ."""
    await say(driver, "m1", window_ms=9_000)
    driver.clock.advance(1_000)
    short, long = pack_window(2_000, "auto_contact"), pack_window(15_000, "auto_explore")
    appended = await driver.store.append(
        [message("m2", ANA)._replace(window=short), message("b1", BIA)._replace(window=long)]
    )
    assert [one.deadline_ms - driver.clock() for one in appended] == [2_000, 15_000]
    driver.clock.advance(2_000)
    record = await end(driver)
    assert (record.messages, record.window_ms, record.window_why) == (2, 2_000, "auto_contact")


async def test_the_longest_wait_limits_every_window(driver: ScriptDriver):
    """No window is longer than the longest wait, whatever the record says."""
    assert await say(driver, "m1", window_ms=2**48 - 1) == driver.clock() + MAX_WAIT_MS
    driver.clock.advance(MAX_WAIT_MS)
    record = await end(driver)
    assert (record.window_ms, record.reason) == (2**32 - 1, "max_wait")


async def test_the_first_window_says_so(open_driver):
    """The window after the first message of a burst is told from the others."""
    driver = open_driver(message_buffer_first="2.5")
    await driver.append("m1")
    driver.clock.advance(2_500)
    record = await end(driver)
    assert (record.window_ms, record.window_why) == (2_500, "first")
    await driver.append("m2", "m3")
    driver.clock.advance(WINDOW_MS)
    record = await end(driver)
    assert (record.window_ms, record.window_why) == (WINDOW_MS, "fixed")


async def test_rules_without_a_first_window_leave_that_of_the_message(driver: ScriptDriver, make_settings):
    """Rules of a route that set no first window do not replace the message's own window."""
    rules = append_rules(make_settings(message_buffer_separator=" | "), driver.store.settings)
    said = message("m1", ANA)._replace(window=pack_window(3_000, "auto_channel"))
    [appended] = await driver.store.append([said], rules)
    assert appended.deadline_ms == driver.clock() + 3_000


async def test_what_a_cut_leaves_keeps_the_window(open_driver):
    """The messages that did not fit wait by the window of their burst. They were not held."""
    driver = open_driver(message_buffer_max_messages=2)
    await say(driver, "m1", "m2", "m3", window_ms=3_000)
    await set_flags(driver, HELD + RESTARTED)
    assert ids(await driver.claim_batch()) == ["m1", "m2"]
    conv = await driver.conv()
    assert int(conv["deadline_ms"]) == driver.clock() + 3_000
    assert (conv["window_ms"], conv["why"], conv["flags"]) == ("3000", str(WHYS.index("auto_channel")), str(RESTARTED))


async def test_flags_stay_with_the_batch(driver: ScriptDriver):
    """The flags of a burst are sealed with it, and stand in the span at rest. A new burst begins without any."""
    await say(driver, "m1", window_ms=3_000)
    await set_flags(driver, HELD + 1)
    driver.clock.advance(3_000)
    record = await end(driver)
    assert record.is_held
    span = await driver.redis.hget(driver.key("conv"), "span")
    assert struct.unpack(">HIHIB", span)[4] == HELD + 1
    await say(driver, "m2", window_ms=3_000)
    assert (await driver.conv())["flags"] == "0"


async def test_a_message_keeps_the_flags_of_its_burst(driver: ScriptDriver):
    """An append to an open burst leaves its flags."""
    await say(driver, "m1", window_ms=3_000)
    await set_flags(driver, 1)
    await say(driver, "m2", window_ms=4_000)
    conv = await driver.conv()
    assert (conv["flags"], conv["window_ms"]) == ("1", "4000")


@pytest.mark.parametrize("newer", [ANA, BIA])
async def test_a_merge_keeps_the_newer_window(driver: ScriptDriver, newer):
    """Of two bursts of one person the newer one's window stays, with the flags of both."""
    older = BIA if newer == ANA else ANA
    await say(driver, "m1", window_ms=3_000, why="auto_channel", to=older)
    driver.clock.advance(100)
    await say(driver, "m2", window_ms=4_000, why="auto_contact", to=newer)
    await set_flags(driver, 1, older)
    await set_flags(driver, HELD, newer)
    await driver.store.append([message("m1", ANA)._replace(alias=BIA)])
    conv = await driver.conv()
    assert (conv["window_ms"], conv["flags"]) == ("4000", str(HELD + 1))


async def test_the_span_of_many_messages_is_short(open_driver):
    """A sealed span stays below 64 bytes: a hash with a longer value takes more memory and time."""
    driver = open_driver(message_buffer_max_messages=100)
    await driver.append(*(f"m{number}" for number in range(40)))
    driver.clock.advance(WINDOW_MS)
    await driver.claim_batch()
    assert len(await driver.redis.hget(driver.key("conv"), "span")) == 26 + 12 * 3
