"""snapshot: what a partition holds, for people and metrics."""

from __future__ import annotations

from tests.lua.driver import ANA, BIA, WINDOW_MS, Desk


async def test_empty_partition(desk: Desk):
    """An installation that never saw a message reports zeros and empty lists."""
    assert await desk.store.snapshot(0) == {
        "now_ms": desk.clock(),
        "pending": 0,
        "overdue": 0,
        "oldest_ms": None,
        "idle": 0,
        "dead": 0,
        "counters": {},
        "conversations": [],
    }


async def test_what_is_held(desk: Desk):
    """Each conversation with its next moment, its burst and its batch, soonest first."""
    batch = await desk.in_flight("m1", to=ANA)
    await desk.say("m2", "m3", to=ANA)
    [open_burst] = await desk.say("m1", to=BIA)
    report = await desk.store.snapshot(0)
    assert (report["pending"], report["overdue"], report["oldest_ms"]) == (2, 0, open_burst.deadline_ms)
    bia, ana = report["conversations"]
    assert (bia["ref"], bia["wake_ms"], bia["depth"], bia["batch"]) == (
        str(desk.ref(BIA)),
        open_burst.deadline_ms,
        1,
        0,
    )
    assert (ana["ref"], ana["depth"], ana["batch"], ana["flush_id"]) == (str(desk.ref()), 2, 1, batch.flush_id)
    assert (ana["gateway"], ana["channel"], ana["peer"]) == ANA


async def test_no_secrets(desk: Desk):
    """Neither a lease token nor the agent's answer leaves through a snapshot."""
    batch = await desk.in_flight("m1")
    await desk.store.answered(desk.ref(), batch.token, b'{"reply":"secret"}')
    text = str(await desk.store.snapshot(0))
    assert batch.token not in text
    assert "secret" not in text
    await desk.store.ack(desk.ref(), batch.token)
    await desk.say("m2")
    assert batch.token not in str(await desk.store.snapshot(0))


async def test_limit(desk: Desk):
    """At most as many conversations as asked for; the totals count all."""
    for who in (ANA, BIA):
        await desk.say("m1", to=who)
    assert len((await desk.store.snapshot(0, 1))["conversations"]) == 1
    report = await desk.store.snapshot(0, 0)
    assert (report["conversations"], report["pending"]) == ([], 2)


async def test_overdue_and_totals(desk: Desk):
    """What waits past its moment is overdue; totals count what happened."""
    await desk.bury("m0", to=BIA)
    await desk.say("m1", "m2")
    await desk.say("m2")
    desk.clock.advance(WINDOW_MS)
    report = await desk.store.snapshot(0)
    assert (report["overdue"], report["dead"], report["idle"]) == (1, 1, 1)
    assert report["counters"] == {"accepted": 3, "duplicates": 1, "dead": 1}


async def test_snapshot_changes_nothing(desk: Desk):
    """Looking is free."""
    await desk.in_flight("m1")
    await desk.say("m2")
    before = {key: await desk.redis.dump(key) for key in await desk.all_keys()}
    await desk.store.snapshot(0)
    assert {key: await desk.redis.dump(key) for key in await desk.all_keys()} == before
