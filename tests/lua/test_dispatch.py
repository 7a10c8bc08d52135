"""dispatch: what is due is handed out, oldest first, and nothing leaves the wake index."""

from __future__ import annotations

from buffer.models import Conversation
from tests.lua.driver import ANA, BIA, LEASE_MS, VISIBILITY_MS, WINDOW_MS, Desk
from tests.messages import message


async def test_nothing_due(desk: Desk):
    """Before the deadline nothing is handed out; the next moment says how long to sleep."""
    [appended] = await desk.say("m1")
    desk.clock.advance(WINDOW_MS - 1)
    dispatched = await desk.store.dispatch(0, 10)
    assert dispatched == ([], appended.deadline_ms, desk.clock())


async def test_empty_index(desk: Desk):
    """An empty wake index has no next moment."""
    assert await desk.store.dispatch(0, 10) == ([], None, desk.clock())


async def test_due_at_its_very_millisecond(desk: Desk):
    """A conversation is due at its deadline, and is then out of sight for the visibility time."""
    await desk.say("m1")
    now_ms = desk.clock.advance(WINDOW_MS)
    dispatched = await desk.store.dispatch(0, 10)
    assert [due.ref for due in dispatched.due] == [str(desk.ref())]
    assert dispatched.next_ms == now_ms + VISIBILITY_MS
    assert await desk.wake_ms() == now_ms + VISIBILITY_MS
    assert await desk.due() == []


async def test_lost_job_is_handed_out_again(desk: Desk):
    """When nobody claims, the conversation comes back after the visibility time under another number."""
    await desk.say("m1")
    desk.clock.advance(WINDOW_MS)
    [first] = (await desk.store.dispatch(0, 10)).due
    desk.clock.advance(VISIBILITY_MS)
    [second] = (await desk.store.dispatch(0, 10)).due
    assert second.ref == first.ref
    assert second.dispatch > first.dispatch


async def test_oldest_first_up_to_the_limit(desk: Desk):
    """With room for some only, those who have waited longest go first; the rest stays due."""
    people = [Conversation("generic", "loja", f"p{i}") for i in range(5)]
    for who in reversed(people):
        await desk.say("m1", to=who)
        desk.clock.advance(10)
    desk.clock.advance(WINDOW_MS)
    assert await desk.due(limit=2) == [str(desk.ref(who)) for who in people[:2:-1]]
    assert await desk.due(limit=10) == [str(desk.ref(who)) for who in people[2::-1]]


async def test_no_room_hands_out_nothing(desk: Desk):
    """A limit of zero only looks at the time."""
    [appended] = await desk.say("m1")
    desk.clock.advance(WINDOW_MS)
    assert await desk.store.dispatch(0, 0) == ([], appended.deadline_ms, desk.clock())


async def test_numbers_are_never_repeated(desk: Desk):
    """Every hand-out has a number of its own, so that RQ job ids never meet."""
    for who in (ANA, BIA):
        await desk.say("m1", to=who)
    numbers = []
    for _ in range(3):
        desk.clock.advance(WINDOW_MS)
        numbers += [due.dispatch for due in (await desk.store.dispatch(0, 10)).due]
    assert len(numbers) == len(set(numbers)) == 6


async def test_expired_lease_is_due(desk: Desk):
    """A worker that died leaves nothing but its lease's wake entry; at the lease's end it is handed out."""
    await desk.in_flight("m1")
    desk.clock.advance(LEASE_MS - 1)
    assert await desk.due() == []
    desk.clock.advance(1)
    assert await desk.due() == [str(desk.ref())]


async def test_five_thousand_due_in_one_millisecond(desk: Desk):
    """Any number may be due at once: each is handed out exactly once, in lots that Lua can return."""
    people = [Conversation("generic", "loja", f"p{i}") for i in range(5_000)]
    await desk.store.append([message("m1", who) for who in people])
    desk.clock.advance(WINDOW_MS)
    handed_out: list[str] = []
    while lot := await desk.due(limit=5_000):
        handed_out += lot
    assert sorted(handed_out) == sorted(str(desk.ref(who)) for who in people)
