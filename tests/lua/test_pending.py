"""pending: what each conversation in the wake index waits for."""

from __future__ import annotations

import pytest

from buffer.operator_models import Pending
from buffer.reply_store import Replies
from buffer.upcoming import page_of
from tests.lua.driver import ANA, BIA, LEASE_MS, WINDOW_MS, ScriptDriver
from tests.lua.reply_driver import ReplyDriver


async def only(driver: ScriptDriver) -> Pending:
    """The one conversation that waits."""
    now_ms, [found] = await driver.store.pending(0)
    assert now_ms == driver.clock()
    return found


async def test_nothing(driver: ScriptDriver):
    """An empty wake index has an empty page."""
    assert await driver.store.pending(0) == (driver.clock(), [])


async def test_open_burst(driver: ScriptDriver):
    """An open burst waits for its deadline, and a dispatch that hides it does not move that time."""
    [appended, _] = await driver.append("m1", "m2")
    assert (await only(driver))[:4] == ("open", appended.deadline_ms, 2, ANA)
    driver.clock.advance(WINDOW_MS)
    await driver.dispatch()
    assert (await only(driver)).due_ms == appended.deadline_ms


async def test_names_and_opening(driver: ScriptDriver):
    """Each is listed with its reference, and with the moment at which its open burst began."""
    await driver.append("m1")
    opened_ms = driver.clock()
    driver.clock.advance(1_000)
    await driver.append("m2")
    assert (await only(driver))[4:] == (str(driver.ref()), opened_ms)
    await driver.store.discard(ANA)
    await driver.in_flight("m3")
    assert (await only(driver))[4:] == (str(driver.ref()), None)


async def test_in_flight(driver: ScriptDriver):
    """A leased batch is in flight, with the messages behind it."""
    await driver.in_flight("m1", "m2")
    await driver.append("m3")
    assert (await only(driver))[:4] == ("in_flight", driver.clock() + LEASE_MS, 3, ANA)


async def test_between_two_attempts(driver: ScriptDriver):
    """A failed batch waits for its next attempt."""
    batch = await driver.in_flight("m1")
    await driver.fail(batch.token, "retry", delay_ms=7_000)
    assert (await only(driver))[:4] == ("retry", driver.clock() + 7_000, 1, ANA)


async def test_between_two_parts(driver: ScriptDriver, replies: ReplyDriver):
    """A batch whose next part waits is replying, until the moment of that part."""
    batch = await replies.answered("olá", "tudo bem?")
    await replies.begin(batch)
    await replies.end(batch, delay_ms=4_000)
    assert (await only(driver))[:4] == ("replying", driver.clock() + 4_000, 1, ANA)


async def test_of_a_dead_worker(driver: ScriptDriver):
    """A batch whose lease has ended waits for another worker since then."""
    await driver.in_flight("m1")
    until_ms = driver.clock() + LEASE_MS
    driver.clock.advance(LEASE_MS + 5_000)
    assert (await only(driver))[:4] == ("retry", until_ms, 1, ANA)


async def test_redriven(driver: ScriptDriver):
    """A redriven dead letter is due since its redrive."""
    dead = await driver.make_dead_letter("m1")
    await driver.store.redrive(dead.flush_id)
    redriven_ms = driver.clock()
    driver.clock.advance(9_000)
    await driver.dispatch()
    assert (await only(driver))[:4] == ("redriven", redriven_ms, 0, ANA)


async def test_paused(driver: ScriptDriver):
    """A paused conversation waits for the end of its pause."""
    await driver.append("m1")
    until_ms = await driver.store.pause(ANA, 30_000)
    assert (await only(driver))[:4] == ("paused", until_ms, 1, ANA)


async def test_pages(driver: ScriptDriver):
    """Pages follow the wake index."""
    await driver.append("m1", to=BIA)
    driver.clock.advance(1_000)
    await driver.append("m1", to=ANA)
    pages = [(await driver.store.pending(0, offset, 1))[1] for offset in (0, 1, 2)]
    assert [[found.conversation for found in page] for page in pages] == [[BIA], [ANA], []]


async def test_a_page_of_nothing(driver: ScriptDriver):
    """A page of no entries reads none: it does not mean all of them."""
    await driver.append("m1", to=ANA)
    await driver.make_dead_letter("m2", to=BIA)
    assert await driver.store.pending(0, 0, 0) == (driver.clock(), [])
    assert (await driver.store.dead_letters(0, 0, 0)).page == []
    assert (await Replies(driver.store).doubts(0, 0, 0)).page == []
    assert (await page_of(driver.store, 0, 0, 0)).items == []


@pytest.mark.parametrize("fault", ["wrong type", "bad window", "gone"])
async def test_a_broken_one_hides_no_other(driver: ScriptDriver, fault: str):
    """A conversation whose hash cannot be read stops no list."""
    await driver.append("m1", to=ANA)
    await driver.append("m1", to=BIA)
    conv = driver.key("conv", ANA)
    if fault == "bad window":
        await driver.redis.hset(conv, "window", "x")
    else:
        await driver.redis.delete(conv)
    if fault == "wrong type":
        await driver.redis.set(conv, "x")
    _, found = await driver.store.pending(0)
    assert len(found) == 2
    assert BIA in [one.conversation for one in found]
    assert ("broken" in [one.state for one in found]) == (fault == "wrong type")
    await driver.clean()


async def test_changes_nothing(driver: ScriptDriver):
    """A list writes nothing."""
    await driver.in_flight("m1")
    await driver.append("m2")
    before = {name: await driver.redis.dump(name) for name in await driver.all_keys()}
    await driver.store.pending(0)
    assert {name: await driver.redis.dump(name) for name in await driver.all_keys()} == before
