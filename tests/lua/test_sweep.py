"""sweep: conversations that have held nothing for long are forgotten."""

from __future__ import annotations

from buffer.models import Conversation
from tests.lua.driver import ANA, BIA, WINDOW_MS, Desk
from tests.messages import message

DAY_MS = 86_400_000


async def finish(desk: Desk, to: Conversation = ANA) -> None:
    batch = await desk.in_flight("m1", to=to)
    await desk.store.ack(desk.ref(to), batch.token)


async def test_forgets_after_dedupe_ttl(desk: Desk):
    """Idle for as long as ids are remembered, a conversation leaves nothing behind; a millisecond less, all."""
    await finish(desk)
    desk.clock.advance(7 * DAY_MS - 1)
    assert await desk.store.sweep(0) == 0
    assert await desk.redis.exists(desk.key("conv"), desk.key("seen")) == 2
    desk.clock.advance(1)
    assert await desk.store.sweep(0) == 1
    left = {key.partition("}:")[2] for key in await desk.all_keys()}
    assert left == {"counters", "history"}


async def test_whoever_holds_something_stays(desk: Desk):
    """An open burst, a batch in flight and a pause are no idleness, however old."""
    await finish(desk, ANA)
    await desk.say("m2", to=ANA)
    await desk.in_flight("m1", to=BIA)
    held = Conversation("generic", "loja", "caio")
    await desk.store.pause(held, 30 * DAY_MS)
    desk.clock.advance(20 * DAY_MS)
    assert await desk.store.sweep(0) == 0
    for who in (ANA, BIA, held):
        assert await desk.conv(who)


async def test_idle_time_starts_again(desk: Desk):
    """A conversation that spoke again is forgotten only after another whole idle time."""
    await finish(desk)
    desk.clock.advance(6 * DAY_MS)
    batch = await desk.in_flight("m2")
    await desk.store.ack(desk.ref(), batch.token)
    desk.clock.advance(6 * DAY_MS)
    assert await desk.store.sweep(0) == 0


async def test_a_bounded_number_at_a_time(desk: Desk):
    """A sweep takes a bounded number, so that it never holds the server up; the next takes the rest."""
    people = [Conversation("generic", "loja", f"p{i}") for i in range(60)]
    await desk.store.append([message("m1", who) for who in people])
    for who in people:
        await desk.store.discard(who)
    desk.clock.advance(8 * DAY_MS)
    assert await desk.store.sweep(0) == 50
    assert await desk.store.sweep(0) == 10
    assert await desk.store.sweep(0) == 0


async def test_new_life_after_a_sweep(desk: Desk):
    """A forgotten conversation that speaks again gets a flush_id that it never had."""
    first = await desk.in_flight("m1")
    await desk.store.ack(desk.ref(), first.token)
    desk.clock.advance(8 * DAY_MS)
    await desk.store.sweep(0)
    await desk.say("m1")
    desk.clock.advance(WINDOW_MS)
    again = await desk.take(caller="w2")
    assert again.flush_id != first.flush_id
    assert await desk.store.ack(desk.ref(), first.token) == "lost"
