"""The states in which a conversation may be when an alias of its person becomes known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from buffer.models import Conversation
from tests.lua.driver import LEASE_MS, ScriptDriver


# Each returns the ids that are still to be delivered.
async def idle(driver: ScriptDriver, who: Conversation) -> list[str]:
    batch = await driver.in_flight("old", to=who)
    await driver.store.ack(driver.ref(who), batch.token)
    return []


async def collecting(driver: ScriptDriver, who: Conversation) -> list[str]:
    await driver.append("old", to=who)
    return ["old"]


async def in_flight(driver: ScriptDriver, who: Conversation) -> list[str]:
    await driver.in_flight("old", to=who)
    await driver.append("new", to=who)
    return ["old", "new"]


async def waiting(driver: ScriptDriver, who: Conversation) -> list[str]:
    batch = await driver.in_flight("old", to=who)
    await driver.fail(batch.token, "retry", delay_ms=3_000, to=who)
    await driver.append("new", to=who)
    return ["old", "new"]


async def abandoned(driver: ScriptDriver, who: Conversation) -> list[str]:
    await driver.in_flight("old", to=who)
    driver.clock.advance(LEASE_MS)
    return ["old"]


async def asked_again(driver: ScriptDriver, who: Conversation) -> list[str]:
    batch = await driver.make_dead_letter("old", to=who)
    await driver.store.redrive(batch.flush_id)
    await driver.append("new", to=who)
    return ["old", "new"]


async def dead(driver: ScriptDriver, who: Conversation) -> list[str]:
    await driver.make_dead_letter("old", to=who)
    return []


async def held(driver: ScriptDriver, who: Conversation) -> list[str]:
    await driver.append("old", to=who)
    await driver.store.pause(who, 40_000)
    return ["old"]


async def dispatched(driver: ScriptDriver, who: Conversation) -> list[str]:
    await driver.append("old", to=who, keyword=True)
    await driver.dispatch()
    return ["old"]


STATES: dict[str, Callable[[ScriptDriver, Conversation], Awaitable[list[str]]]] = {
    state.__name__: state
    for state in (idle, collecting, in_flight, waiting, abandoned, asked_again, dead, held, dispatched)
}
