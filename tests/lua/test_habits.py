"""A contact's habits: written by the ack, used by append, told by the claim, moved and erased with their person."""

from __future__ import annotations

import pytest

from buffer.habits import Habits, pack_habits
from buffer.models import Batch, Before
from buffer.person_store import People
from buffer.windows import WHYS, pack_window
from tests.lua.aliases import LID, PHONE, home, link
from tests.lua.driver import ANA, WINDOW_MS, ScriptDriver
from tests.messages import message

OWN_MS = 4_100
HABITS = pack_habits(Habits((1, 2, 3, 4, 5, 6, 7), OWN_MS))
NO_WINDOW = pack_habits(Habits((1, 2, 3, 4, 5, 6, 7)))


async def flush(driver: ScriptDriver, name: str, habits: bytes = b"", to=ANA) -> Batch:
    """Flush one message, and acknowledge it with these habits."""
    batch = await driver.in_flight(name, to=to)
    assert await driver.store.ack(driver.ref(to), batch.token, habits=habits) == "ok"
    return batch


async def window_after(driver: ScriptDriver, why: str, to=ANA) -> tuple[int, str]:
    """Return the window that a message with 9 s gets, and why."""
    said = message(f"m-{why}", to)._replace(window=pack_window(9_000, why))
    [appended] = await driver.store.append([said])
    conv = await driver.conv(to)
    assert appended.deadline_ms == driver.clock() + int(conv["window_ms"])
    return int(conv["window_ms"]), WHYS[int(conv["why"])]


@pytest.fixture
def auto(open_driver) -> ScriptDriver:
    """A driver whose route finds its windows."""
    return open_driver(message_buffer_timeout="auto")


@pytest.mark.parametrize("why", WHYS)
async def test_the_contacts_own_window(auto: ScriptDriver, why: str):
    """It replaces that of the channel, and no other."""
    await flush(auto, "m1", HABITS)
    expected = (OWN_MS, "auto_contact") if why in ("auto_start", "auto_channel") else (9_000, why)
    assert await window_after(auto, why) == expected


@pytest.mark.parametrize(
    ("auto_min", "auto_max", "expected_ms"), [(5, 15, 5_000), (2, 3, 3_000), (2, 15, OWN_MS), (2, 8e6, OWN_MS)]
)
async def test_the_contacts_own_window_is_within_bounds(
    open_driver, auto_min: float, auto_max: float, expected_ms: int
):
    """A window that was noted under other bounds is moved into those of today."""
    long = {"message_buffer_max_wait": 9e6, "dedupe_ttl": 9e6}
    driver = open_driver(message_buffer_timeout="auto", auto_min=auto_min, auto_max=auto_max, **long)
    await flush(driver, "m1", HABITS)
    assert await window_after(driver, "auto_channel") == (expected_ms, "auto_contact")


async def test_a_fixed_window_is_that_of_everybody(driver: ScriptDriver):
    """On a route that does not find windows, habits that were noted before count for nothing."""
    await flush(driver, "m1", HABITS)
    assert await window_after(driver, "auto_channel") == (9_000, "auto_channel")


@pytest.mark.parametrize("habits", [b"", NO_WINDOW, HABITS[:8], HABITS + b"x", b"malformed, and long"])
async def test_habits_without_a_window(auto: ScriptDriver, habits: bytes):
    """Without a window of one's own, and of habits that nobody wrote, the channel's counts."""
    await flush(auto, "m1")
    if habits:
        await auto.redis.hset(auto.key("conv"), "habits", habits)
    assert await window_after(auto, "auto_channel") == (9_000, "auto_channel")


async def test_the_first_window_goes_before(open_driver):
    """A first window that is set holds for the first message of a contact with habits, too."""
    driver = open_driver(message_buffer_timeout="auto", message_buffer_first="2.5")
    await flush(driver, "m1", HABITS)
    assert await window_after(driver, "auto_channel") == (2_500, "first")
    said = message("m2", ANA)._replace(window=pack_window(9_000, "auto_channel"))
    [appended] = await driver.store.append([said])
    assert appended.deadline_ms == driver.clock() + OWN_MS


async def test_every_message_of_a_call_is_decided_for_itself(auto: ScriptDriver):
    """The habits of one person change nothing for the next message of the call."""
    await flush(auto, "m1", HABITS)
    other = ANA._replace(peer="bia")
    window = pack_window(9_000, "auto_channel")
    said = [message("a", ANA)._replace(window=window), message("b", other)._replace(window=window)]
    assert [one.deadline_ms - auto.clock() for one in await auto.store.append(said)] == [OWN_MS, 9_000]


async def test_an_ack_without_habits_leaves_them(driver: ScriptDriver):
    """Empty means leave, as a worker does whose route has a fixed window."""
    await flush(driver, "m1", HABITS)
    await flush(driver, "m2")
    assert await driver.redis.hget(driver.key("conv"), "habits") == HABITS


async def test_a_claim_tells_habits_and_the_batch_before(driver: ScriptDriver):
    """A worker learns what was noted, and when the batch before ended."""
    first = await flush(driver, "m1", HABITS)
    acked_ms = driver.clock()
    assert (first.habits, first.before) == (b"", None)
    driver.clock.advance(1_000)
    batch = await driver.in_flight("m2")
    assert (batch.habits, batch.before) == (HABITS, Before(first.last_ms, acked_ms))
    again = (await driver.claim()).batch
    assert again is not None
    assert (again.habits, again.before) == (HABITS, None)


async def test_a_merge_keeps_one_side(driver: ScriptDriver):
    """Those of the conversation that stays count; without any, the other's."""
    await flush(driver, "m1", HABITS, LID)
    await link(driver, "m2")
    assert await driver.redis.hget(driver.key("conv", await home(driver)), "habits") == HABITS


@pytest.mark.parametrize("with_batch", [False, True])
async def test_a_merge_of_two_with_habits(driver: ScriptDriver, with_batch: bool):
    """What stays is that of the conversation that stays, and nothing lies under the alias."""
    for to, habits in ((PHONE, HABITS), (LID, NO_WINDOW)):
        await flush(driver, f"m-{to.peer}", habits, to)
    batch = await driver.in_flight("left", to=LID) if with_batch else None
    before = {to: await driver.redis.hget(driver.key("conv", to), "habits") for to in (PHONE, LID)}
    await link(driver, "m3")
    kept = await home(driver)
    dropped = LID if kept == PHONE else PHONE
    assert await driver.redis.hget(driver.key("conv", kept), "habits") == before[kept]
    if batch is not None:
        await driver.store.ack(driver.ref(LID), batch.token, habits=b"y" * 9)
    assert await driver.redis.hget(driver.key("conv", dropped), "habits") is None


async def test_erased_with_their_person(driver: ScriptDriver):
    """An erase leaves no habits."""
    await flush(driver, "m1", HABITS)
    await People(driver.store).erase(ANA)
    assert not await driver.redis.exists(driver.key("conv"))


async def test_an_ack_again_is_the_same(driver: ScriptDriver):
    """A repeated ack, after a lost reply, changes nothing."""
    batch = await driver.in_flight("m1")
    for habits in (HABITS, NO_WINDOW):
        assert await driver.store.ack(driver.ref(), batch.token, habits=habits) == "ok"
    assert await driver.redis.hget(driver.key("conv"), "habits") == HABITS
    driver.clock.advance(WINDOW_MS)
