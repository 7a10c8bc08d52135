"""dispatch: due conversations are dispatched, oldest first, and nothing leaves the wake index."""

from __future__ import annotations

import pytest

from buffer.keys import Ref
from buffer.models import Conversation
from tests.lua.driver import ANA, BIA, LEASE_MS, VISIBILITY_MS, WINDOW_MS, ScriptDriver
from tests.messages import message


async def test_nothing_due(driver: ScriptDriver):
    """Before the deadline nothing is dispatched, and the reply says how long to sleep."""
    [appended] = await driver.append("m1")
    driver.clock.advance(WINDOW_MS - 1)
    dispatched = await driver.store.dispatch(0, 10)
    assert dispatched == ([], appended.deadline_ms, driver.clock())


async def test_empty_index(driver: ScriptDriver):
    """An empty wake index has no next time."""
    assert await driver.store.dispatch(0, 10) == ([], None, driver.clock())


async def test_due_at_its_very_millisecond(driver: ScriptDriver):
    """A conversation is due at its deadline, and is then hidden for the visibility time."""
    await driver.append("m1")
    now_ms = driver.clock.advance(WINDOW_MS)
    dispatched = await driver.store.dispatch(0, 10)
    assert [due.ref for due in dispatched.due] == [driver.ref()]
    assert dispatched.next_ms == now_ms + VISIBILITY_MS
    assert await driver.wake_ms() == now_ms + VISIBILITY_MS
    assert await driver.dispatch() == []


async def test_lost_job_is_handed_out_again(driver: ScriptDriver):
    """Without a claim the conversation is due again after the visibility time, under another number."""
    await driver.append("m1")
    driver.clock.advance(WINDOW_MS)
    [first] = (await driver.store.dispatch(0, 10)).due
    driver.clock.advance(VISIBILITY_MS)
    [second] = (await driver.store.dispatch(0, 10)).due
    assert second.ref == first.ref
    assert second.dispatch > first.dispatch


async def test_oldest_first_up_to_the_limit(driver: ScriptDriver):
    """Up to the limit the oldest are dispatched first, and the rest stays due."""
    people = [Conversation("generic", "loja", f"p{i}") for i in range(5)]
    for who in reversed(people):
        await driver.append("m1", to=who)
        driver.clock.advance(10)
    driver.clock.advance(WINDOW_MS)
    assert await driver.dispatch(limit=2) == [driver.ref(who) for who in people[:2:-1]]
    assert await driver.dispatch(limit=10) == [driver.ref(who) for who in people[2::-1]]


async def test_no_room_hands_out_nothing(driver: ScriptDriver):
    """A limit of zero only reads the next time."""
    [appended] = await driver.append("m1")
    driver.clock.advance(WINDOW_MS)
    assert await driver.store.dispatch(0, 0) == ([], appended.deadline_ms, driver.clock())


async def test_numbers_are_never_repeated(driver: ScriptDriver):
    """Every dispatch has a number of its own, so that no two RQ job ids are equal."""
    for who in (ANA, BIA):
        await driver.append("m1", to=who)
    numbers = []
    for _ in range(3):
        driver.clock.advance(WINDOW_MS)
        numbers += [due.dispatch for due in (await driver.store.dispatch(0, 10)).due]
    assert len(numbers) == len(set(numbers)) == 6


async def test_expired_lease_is_due(driver: ScriptDriver):
    """A worker that died leaves its lease's wake entry, and the conversation is dispatched at the lease's end."""
    await driver.in_flight("m1")
    driver.clock.advance(LEASE_MS - 1)
    assert await driver.dispatch() == []
    driver.clock.advance(1)
    assert await driver.dispatch() == [driver.ref()]


async def test_five_thousand_due_in_one_millisecond(driver: ScriptDriver):
    """Five thousand conversations due at once are each dispatched exactly once, in portions that Lua can return."""
    people = [Conversation("generic", "loja", f"p{i}") for i in range(5_000)]
    await driver.store.append([message("m1", who) for who in people])
    driver.clock.advance(WINDOW_MS)
    handed_out: list[Ref] = []
    while lot := await driver.dispatch(limit=5_000):
        handed_out += lot
    assert sorted(handed_out) == sorted(driver.ref(who) for who in people)


@pytest.mark.parametrize("damage", ["another type", "no number", "the largest number"])
async def test_damaged_counters_stop_no_dispatch(driver: ScriptDriver, damage: str):
    """What is due is returned although its total cannot be counted on; the total begins anew."""
    key = driver.partition_key("counters")
    if damage == "another type":
        await driver.redis.set(key, "damage")
    else:
        await driver.redis.hset(key, "dispatches", "many" if damage == "no number" else 2**63 - 1)
    await driver.append("m1")
    driver.clock.advance(WINDOW_MS)
    assert await driver.dispatch() == [driver.ref()]
    driver.clock.advance(VISIBILITY_MS)
    [again] = (await driver.store.dispatch(0, 1)).due
    assert (again.ref, again.dispatch) == (driver.ref(), 2)
    assert (await driver.counters())["dispatches"] == 2
    assert await driver.redis.get(driver.partition_key("sick") + ":counters") in (None, b"damage")
