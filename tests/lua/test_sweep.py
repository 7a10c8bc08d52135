"""sweep: forget conversations that have held nothing for DEDUPE_TTL."""

from __future__ import annotations

import pytest

from buffer.insights import Insights
from buffer.models import Conversation
from tests.lua.aliases import floor
from tests.lua.driver import ANA, BIA, WINDOW_MS, ScriptDriver
from tests.messages import message

DAY_MS = 86_400_000


async def finish(driver: ScriptDriver, to: Conversation = ANA) -> None:
    batch = await driver.in_flight("m1", to=to)
    await driver.store.ack(driver.ref(to), batch.token)


async def test_forgets_after_dedupe_ttl(driver: ScriptDriver):
    """A conversation that was idle for DEDUPE_TTL is swept without a trace. A millisecond earlier it is kept."""
    await finish(driver)
    driver.clock.advance(7 * DAY_MS - 1)
    assert await driver.store.sweep(0) == 0
    assert await driver.redis.exists(driver.key("conv"), driver.key("seen")) == 2
    driver.clock.advance(1)
    assert await driver.store.sweep(0) == 1
    assert floor(await driver.all_keys()) == {"history"}


async def test_whoever_holds_something_stays(driver: ScriptDriver):
    """A conversation with an open burst, a batch in flight or a pause is not idle, however old."""
    await finish(driver, ANA)
    await driver.append("m2", to=ANA)
    await driver.in_flight("m1", to=BIA)
    held = Conversation("generic", "loja", "caio")
    await driver.store.pause(held, 30 * DAY_MS)
    driver.clock.advance(20 * DAY_MS)
    assert await driver.store.sweep(0) == 0
    for who in (ANA, BIA, held):
        assert await driver.conv(who)


async def test_idle_time_starts_again(driver: ScriptDriver):
    """A conversation with a new message is forgotten only after another whole idle time."""
    await finish(driver)
    driver.clock.advance(6 * DAY_MS)
    batch = await driver.in_flight("m2")
    await driver.store.ack(driver.ref(), batch.token)
    driver.clock.advance(6 * DAY_MS)
    assert await driver.store.sweep(0) == 0


async def test_a_bounded_number_at_a_time(driver: ScriptDriver):
    """A sweep forgets a bounded number, so that it does not block the server. The next one goes on."""
    people = [Conversation("generic", "loja", f"p{i}") for i in range(60)]
    await driver.store.append([message("m1", who) for who in people])
    for who in people:
        await driver.store.discard(who)
    driver.clock.advance(8 * DAY_MS)
    assert await driver.store.sweep(0) == 50
    assert await driver.store.sweep(0) == 10
    assert await driver.store.sweep(0) == 0


async def test_new_life_after_a_sweep(driver: ScriptDriver):
    """A swept conversation with a new message gets a flush_id that it never had."""
    first = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), first.token)
    driver.clock.advance(8 * DAY_MS)
    await driver.store.sweep(0)
    await driver.append("m1")
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(caller="w2")
    assert again.flush_id != first.flush_id
    assert await driver.store.ack(driver.ref(), first.token) == "lost"


async def test_gaps_fade(driver: ScriptDriver):
    """The gaps are halved once a day, however often sweep runs, and for each day that it did not run."""
    await driver.append(*(f"m{number}" for number in range(9)))
    await driver.store.sweep(0)
    assert (await driver.tally())["gap:0"] == 8
    for days, left in ((1, 4), (0, 4), (2, 1), (1, 0)):
        driver.clock.advance(days * DAY_MS)
        await driver.store.sweep(0)
        assert (await driver.tally())["gap:0"] == left


async def test_what_is_counted_on_the_first_day(driver: ScriptDriver):
    """Everything that a channel has counted on its first day is of today, however often sweep runs."""
    insights = Insights(driver.store)
    await finish(driver)
    for _ in range(2):
        await driver.store.sweep(0)
        assert [each.today for each in await insights.totals()] == [{"messages": 1, "flushes": 1}]
    driver.clock.advance(DAY_MS)
    await driver.store.sweep(0)
    assert [each.today for each in await insights.totals()] == [{"messages": 0, "flushes": 0}]


async def test_gaps_fade_without_a_sweep_on_the_first_day(driver: ScriptDriver):
    """The days count from the first claim on, also when no sweep ran on its day."""
    await driver.in_flight(*(f"m{number}" for number in range(9)))
    driver.clock.advance(2 * DAY_MS)
    await driver.store.sweep(0)
    assert (await driver.tally())["gap:0"] == 2


async def test_what_is_counted_today(driver: ScriptDriver):
    """The first sweep of a day notes the totals, so that those of today can be told. A new channel began with 0."""
    insights = Insights(driver.store)
    await finish(driver)
    await driver.store.sweep(0)
    assert [each.today for each in await insights.totals()] == [{"messages": 1, "flushes": 1}]
    driver.clock.advance(DAY_MS)
    await driver.store.sweep(0)
    assert [each.today for each in await insights.totals()] == [{"messages": 0, "flushes": 0}]
    await driver.append("m2", "m3")
    driver.clock.advance(WINDOW_MS)
    await driver.claim_batch()
    await driver.store.sweep(0)
    [totals] = await insights.totals()
    assert totals.today == {"messages": 2, "flushes": 1}
    assert totals.counters["messages_accepted"] == 3


async def test_forgets_a_channel_without_any_count(driver: ScriptDriver):
    """A channel that counts nothing for 90 days is forgotten, and one that counts anything is not."""
    other = Conversation("generic", "suporte", "bia")
    await driver.append("m1", to=ANA)
    await driver.append("m1", to=other)
    for day in range(91):
        await driver.store.sweep(0)
        driver.clock.advance(DAY_MS)
        if day % 30 == 0:
            await driver.append(f"m{day + 2}", to=other)
    await driver.store.sweep(0)
    assert [totals.channel for totals in await Insights(driver.store).totals()] == ["suporte"]
    assert await driver.tally(ANA) == {}


async def test_many_channels(driver: ScriptDriver):
    """One call ages a bounded number of channels, and the next ones the others."""
    people = [Conversation("generic", f"c{number}", "ana") for number in range(120)]
    for who in people:
        await driver.append("m1", "m2", to=who)
    await driver.store.sweep(0)
    driver.clock.advance(DAY_MS)
    for aged in (50, 100, 120):
        await driver.store.sweep(0)
        days = [(await driver.tally(who)).get("gap_day") for who in people]
        assert days.count(driver.clock() // DAY_MS) == aged


@pytest.mark.parametrize("kind", ["tally", "channels"])
async def test_damaged_tally(driver: ScriptDriver, kind: str):
    """A tally that cannot be read keeps no conversation from being swept."""
    await finish(driver)
    [tally] = [key for key in await driver.all_keys() if ":tally:" in key]
    key = tally if kind == "tally" else driver.partition_key("channels")
    await driver.redis.delete(key)
    await driver.redis.set(key, "of another type")
    driver.clock.advance(7 * DAY_MS)
    assert await driver.store.sweep(0) == 1
    await driver.redis.delete(key)
