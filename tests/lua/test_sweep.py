"""sweep: forget conversations that have held nothing for DEDUPE_TTL."""

from __future__ import annotations

from buffer.models import Conversation
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
    left = {key.partition("}:")[2] for key in await driver.all_keys()}
    assert left == {"counters", "history"}


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
