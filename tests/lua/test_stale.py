"""MESSAGE_MAX_AGE: history that a gateway replays is not answered."""

from __future__ import annotations

import pytest

from tests.lua.aliases import LID, PHONE, linked
from tests.lua.driver import ANA, WINDOW_MS, ScriptDriver
from tests.messages import message

AGE_MS = 60_000


@pytest.fixture
def driver(open_driver) -> ScriptDriver:
    """A driver where messages older than a minute are ignored."""
    return open_driver(message_max_age=AGE_MS / 1000)


@pytest.mark.parametrize(("age_ms", "status"), [(AGE_MS + 1, "stale"), (AGE_MS, "new"), (0, "new"), (-9_000, "new")])
async def test_age(driver: ScriptDriver, age_ms: int, status: str):
    """Older than the limit by the gateway's timestamp and the server's clock is stale; exactly as old is not."""
    [appended] = await driver.append("m1", order_ms=driver.clock() - age_ms)
    assert appended.status == status
    assert await driver.depth() == (status == "new")


async def test_server_clock_decides(driver: ScriptDriver):
    """The same message is news or stale by the server's clock alone, never by that of a process."""
    sent_ms = driver.clock()
    driver.clock.advance(AGE_MS)
    assert (await driver.append("m1", order_ms=sent_ms))[0].status == "new"
    driver.clock.advance(1)
    assert (await driver.append("m2", order_ms=sent_ms))[0].status == "stale"


async def test_leaves_no_trace(driver: ScriptDriver):
    """A stale message opens nothing, wakes nobody and is not remembered: only the total counts it."""
    appended = await driver.append("m1", order_ms=1)
    assert appended == [("stale", 0, 0)]
    assert [key.partition("}:")[2] for key in await driver.all_keys()] == ["counters"]
    counters = await driver.counters()
    assert (counters["stale"], counters["accepted"], counters["duplicates"]) == (1, 0, 0)


async def test_not_remembered(driver: ScriptDriver):
    """A message that was ignored for its age is accepted when it comes with a timestamp that is right."""
    await driver.append("m1", order_ms=1)
    assert (await driver.append("m1", order_ms=driver.clock()))[0].status == "new"


async def test_among_others(driver: ScriptDriver):
    """In one call only the old messages are left out; the burst does not wait longer for them."""
    [first] = await driver.append("m1")
    driver.clock.advance(3_000)
    appended = await driver.store.append([message("old", ANA, order_ms=1), message("new", LID)])
    assert [a.status for a in appended] == ["stale", "new"]
    assert await driver.wake_ms() == first.deadline_ms


async def test_tells_no_names(driver: ScriptDriver):
    """What a stale message says about names is not learned."""
    assert (await driver.store.append([linked("m1", order_ms=1)]))[0].status == "stale"
    await driver.append("m1", to=PHONE)
    assert (await driver.append("m1", to=LID))[0].status == "new"


async def test_without_a_timestamp(driver: ScriptDriver):
    """A message whose gateway tells no time is as old as its receipt."""
    assert (await driver.append("m1", order_ms=None))[0].status == "new"


async def test_off(open_driver):
    """With 0, the default, a message of any age is taken."""
    driver = open_driver()
    assert [a.status for a in await driver.append("m1", order_ms=1)] == ["new"]
    driver.clock.advance(WINDOW_MS)
    assert len((await driver.claim_batch()).messages) == 1
