"""upcoming.lua: the conversations that wait for a moment, as RQ's dashboards show them."""

from __future__ import annotations

import pytest

from buffer.late_answers import LateAnswers
from buffer.models import Conversation
from buffer.upcoming import PAGE, page_of, soonest
from tests.lua.driver import ANA, BIA, LEASE_MS, WINDOW_MS


async def test_open_bursts(driver, clock):
    """An open burst is told with its deadline, the number of its messages, and whose it is."""
    opened_ms = clock()
    await driver.append("m1")
    clock.advance(1_000)
    await driver.append("m2")
    await driver.append("b1", to=BIA)
    page = await page_of(driver.store, 0, 0)
    assert (page.now_ms, page.read) == (clock(), 2)
    ana = next(item for item in page.items if item.conversation == ANA)
    assert ana == (clock() + WINDOW_MS, driver.store.ref(ANA), "open", 2, opened_ms, ANA)


async def test_what_is_dispatched_or_in_flight_is_left_out(driver, clock):
    """RQ has a job for a conversation that was dispatched, and an overdue one waits still."""
    await driver.append("m1")
    clock.advance(WINDOW_MS + 5_000)
    (overdue,) = (await page_of(driver.store, 0, 0)).items
    assert (overdue.state, overdue.due_ms) == ("open", clock() - 5_000)
    await driver.dispatch()
    assert (await page_of(driver.store, 0, 0)).items == []
    await driver.claim_batch()
    page = await page_of(driver.store, 0, 0)
    assert (page.read, page.items) == (1, [])


async def test_retry_and_pause(driver, clock):
    """A batch in back-off waits for its next attempt, a paused conversation for the end of the pause."""
    batch = await driver.in_flight("m1", "m2")
    await driver.fail(batch.token, "retry", delay_ms=7_000)
    await driver.append("b1", to=BIA)
    await driver.store.pause(BIA, 90_000)
    retry, paused = (await page_of(driver.store, 0, 0)).items
    assert (retry.state, retry.due_ms, retry.messages, retry.opened_ms) == ("retry", clock() + 7_000, 2, None)
    assert (paused.state, paused.due_ms, paused.messages) == ("paused", clock() + 90_000, 1)


async def test_a_lease_that_is_over_is_a_retry(driver, clock):
    """The batch of a worker that died waits for a worker since the end of its lease."""
    await driver.in_flight("m1")
    clock.advance(LEASE_MS + 3_000)
    (item,) = (await page_of(driver.store, 0, 0)).items
    assert (item.state, item.due_ms) == ("retry", clock() - 3_000)


async def test_redriven(driver, clock):
    """A redriven dead letter waits for its claim."""
    batch = await driver.make_dead_letter("m1")
    await driver.store.redrive(batch.flush_id)
    (item,) = (await page_of(driver.store, 0, 0)).items
    assert (item.state, item.due_ms) == ("redriven", clock())


async def test_damaged_keys_hide_no_others(driver):
    """A conversation whose hash is of another type is left out, and so is an entry without one."""
    await driver.append("m1")
    await driver.append("b1", to=BIA)
    await driver.redis.delete(driver.key("conv"))
    await driver.redis.set(driver.key("conv"), "garbage")
    await driver.redis.zadd(driver.partition_key("wake"), {"nobody-at-all-00": 1})
    page = await page_of(driver.store, 0, 0)
    assert [item.conversation for item in page.items] == [BIA]
    await driver.redis.delete(driver.key("conv"), driver.key("buffer"), driver.key("seen"))
    await driver.redis.zrem(driver.partition_key("wake"), "nobody-at-all-00", driver.store.ref(ANA).hash)


@pytest.mark.parametrize("size", [19, 20, 25])
async def test_a_short_window_hides_no_others(driver, size: int):
    """A window that is shorter than its layout is not read, whatever its length."""
    await driver.append("m1")
    await driver.append("b1", to=BIA)
    await driver.redis.hset(driver.key("conv"), "window", b"x" * size)
    page = await page_of(driver.store, 0, 0)
    assert BIA in [item.conversation for item in page.items]


async def test_a_late_answer_is_awaited(driver):
    """The call is in flight until the agent posts its answer: it is no retry that waits for its moment."""
    batch = await driver.in_flight("m1")
    assert await LateAnswers(driver.store).wait(driver.ref(), batch.token, 300_000) == "waiting"
    assert (await page_of(driver.store, 0, 0)).items == []


async def test_the_soonest_of_all_partitions(open_driver, clock):
    """More than a page, spread over partitions: those that are due first, in order, and not more than asked for."""
    driver = open_driver(redis_partitions=4)
    people = [Conversation("generic", f"channel-{number % 7}", f"person-{number}") for number in range(PAGE * 3)]
    for one in people:
        await driver.append(f"m-{one.peer}", to=one)
        clock.advance(10)
    now_ms, items = await soonest(driver.store, 120)
    assert now_ms == clock()
    assert [item.conversation for item in items] == people[:120]
    assert len({item.ref.partition for item in items}) > 1
    assert len((await soonest(driver.store, 1_000))[1]) == len(people)
