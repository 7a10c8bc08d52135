"""MESSAGE_MAX_AGE: old messages that a gateway replays are ignored."""

from __future__ import annotations

import pytest

from tests.lua.aliases import LID, PHONE, floor, linked
from tests.lua.driver import ANA, WINDOW_MS, ScriptDriver
from tests.messages import message

AGE_MS = 60_000


@pytest.fixture
def driver(open_driver) -> ScriptDriver:
    """Return a driver that ignores messages older than a minute."""
    return open_driver(message_max_age=AGE_MS / 1000)


@pytest.mark.parametrize(("age_ms", "status"), [(AGE_MS + 1, "stale"), (AGE_MS, "new"), (0, "new"), (-9_000, "new")])
async def test_age(driver: ScriptDriver, age_ms: int, status: str):
    """A message older than the limit by the server's clock is stale. A message exactly as old is not."""
    [appended] = await driver.append("m1", order_ms=driver.clock() - age_ms)
    assert appended.status == status
    assert await driver.depth() == (status == "new")


async def test_server_clock_decides(driver: ScriptDriver):
    """The age of a message depends only on the server's clock, never on that of a process."""
    sent_ms = driver.clock()
    driver.clock.advance(AGE_MS)
    assert (await driver.append("m1", order_ms=sent_ms))[0].status == "new"
    driver.clock.advance(1)
    assert (await driver.append("m2", order_ms=sent_ms))[0].status == "stale"


async def test_leaves_no_trace(driver: ScriptDriver):
    """A stale message opens nothing, wakes nothing and is not in the seen set. Only the total counts it."""
    appended = await driver.append("m1", order_ms=1)
    assert appended == [("stale", 0, 0)]
    assert floor(await driver.all_keys()) == set()
    counters = await driver.counters()
    assert (counters["messages_stale"], counters["messages_accepted"], counters["messages_duplicate"]) == (1, 0, 0)


async def test_not_remembered(driver: ScriptDriver):
    """A message that was stale is accepted when it comes with a right timestamp."""
    await driver.append("m1", order_ms=1)
    assert (await driver.append("m1", order_ms=driver.clock()))[0].status == "new"


async def test_among_others(driver: ScriptDriver):
    """Of one call only the stale messages are ignored, and they do not delay the burst."""
    [first] = await driver.append("m1")
    driver.clock.advance(3_000)
    appended = await driver.store.append([message("old", ANA, order_ms=1), message("new", LID)])
    assert [a.status for a in appended] == ["stale", "new"]
    assert await driver.wake_ms() == first.deadline_ms


async def test_tells_no_names(driver: ScriptDriver):
    """The alias in a stale message is ignored."""
    assert (await driver.store.append([linked("m1", order_ms=1)]))[0].status == "stale"
    await driver.append("m1", to=PHONE)
    assert (await driver.append("m1", to=LID))[0].status == "new"


async def test_without_a_timestamp(driver: ScriptDriver):
    """A message without a timestamp is as old as its receipt."""
    assert (await driver.append("m1", order_ms=None))[0].status == "new"


async def test_off(open_driver):
    """With 0, the default, a message of any age is accepted."""
    driver = open_driver()
    assert [a.status for a in await driver.append("m1", order_ms=1)] == ["new"]
    driver.clock.advance(WINDOW_MS)
    assert len((await driver.claim_batch()).messages) == 1
