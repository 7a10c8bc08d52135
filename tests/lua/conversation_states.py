"""What a conversation may be doing when another name of its person becomes known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from buffer.models import Conversation
from tests.lua.driver import LEASE_MS, Desk


# Each returns the ids that are still to be delivered.
async def idle(desk: Desk, who: Conversation) -> list[str]:
    batch = await desk.in_flight("old", to=who)
    await desk.store.ack(desk.ref(who), batch.token)
    return []


async def collecting(desk: Desk, who: Conversation) -> list[str]:
    await desk.say("old", to=who)
    return ["old"]


async def in_flight(desk: Desk, who: Conversation) -> list[str]:
    await desk.in_flight("old", to=who)
    await desk.say("new", to=who)
    return ["old", "new"]


async def waiting(desk: Desk, who: Conversation) -> list[str]:
    batch = await desk.in_flight("old", to=who)
    await desk.fail(batch.token, "retry", delay_ms=3_000, to=who)
    await desk.say("new", to=who)
    return ["old", "new"]


async def abandoned(desk: Desk, who: Conversation) -> list[str]:
    await desk.in_flight("old", to=who)
    desk.clock.advance(LEASE_MS)
    return ["old"]


async def asked_again(desk: Desk, who: Conversation) -> list[str]:
    batch = await desk.bury("old", to=who)
    await desk.store.redrive(batch.flush_id)
    await desk.say("new", to=who)
    return ["old", "new"]


async def dead(desk: Desk, who: Conversation) -> list[str]:
    await desk.bury("old", to=who)
    return []


async def held(desk: Desk, who: Conversation) -> list[str]:
    await desk.say("old", to=who)
    await desk.store.pause(who, 40_000)
    return ["old"]


async def dispatched(desk: Desk, who: Conversation) -> list[str]:
    await desk.say("old", to=who, keyword=True)
    await desk.due()
    return ["old"]


STATES: dict[str, Callable[[Desk, Conversation], Awaitable[list[str]]]] = {
    state.__name__: state
    for state in (idle, collecting, in_flight, waiting, abandoned, asked_again, dead, held, dispatched)
}
