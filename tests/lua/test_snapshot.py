"""snapshot: the content of a partition, for people and metrics."""

from __future__ import annotations

from buffer.keys import fingerprint_of
from tests.lua.driver import ANA, BIA, WINDOW_MS, ScriptDriver


async def test_empty_partition(driver: ScriptDriver):
    """A partition without messages reports zeros and empty lists."""
    assert await driver.store.snapshot(0) == {
        "now_ms": driver.clock(),
        "pending": 0,
        "overdue": 0,
        "oldest_ms": None,
        "idle": 0,
        "dead": 0,
        "counters": {},
        "conversations": [],
    }


async def test_what_is_held(driver: ScriptDriver):
    """Each conversation is listed with its wake time, burst and batch, soonest first."""
    batch = await driver.in_flight("m1", to=ANA)
    await driver.append("m2", "m3", to=ANA)
    [open_burst] = await driver.append("m1", to=BIA)
    report = await driver.store.snapshot(0)
    assert (report["pending"], report["overdue"], report["oldest_ms"]) == (2, 0, open_burst.deadline_ms)
    bia, ana = report["conversations"]
    assert (bia["ref"], bia["wake_ms"], bia["depth"], bia["batch"]) == (
        str(driver.ref(BIA)),
        open_burst.deadline_ms,
        1,
        0,
    )
    assert (ana["ref"], ana["depth"], ana["batch"], ana["flush_id"]) == (str(driver.ref()), 2, 1, batch.flush_id)
    assert (ana["gateway"], ana["channel"], ana["peer"]) == ANA


async def test_no_secrets(driver: ScriptDriver):
    """A snapshot contains neither a lease token nor the agent's answer."""
    batch = await driver.in_flight("m1")
    await driver.store.answered(driver.ref(), batch.token, b'{"reply":"secret"}')
    text = str(await driver.store.snapshot(0))
    assert batch.token not in text
    assert "secret" not in text
    await driver.store.ack(driver.ref(), batch.token)
    await driver.append("m2")
    assert batch.token not in str(await driver.store.snapshot(0))


async def test_limit(driver: ScriptDriver):
    """At most the given number of conversations is listed, and the totals count all."""
    for who in (ANA, BIA):
        await driver.append("m1", to=who)
    assert len((await driver.store.snapshot(0, 1))["conversations"]) == 1
    report = await driver.store.snapshot(0, 0)
    assert (report["conversations"], report["pending"]) == ([], 2)


async def test_overdue_and_totals(driver: ScriptDriver):
    """A conversation past its wake time counts as overdue, and the totals count what belongs to no channel."""
    await driver.make_dead_letter("m0", to=BIA)
    await driver.append("m1", "m2")
    await driver.append("m2")
    await driver.store.revoke(BIA, fingerprint_of("m0"))
    driver.clock.advance(WINDOW_MS)
    report = await driver.store.snapshot(0)
    assert (report["overdue"], report["dead"], report["idle"]) == (1, 1, 1)
    assert report["counters"] == {"late_revokes": 1}


async def test_snapshot_changes_nothing(driver: ScriptDriver):
    """A snapshot writes nothing."""
    await driver.in_flight("m1")
    await driver.append("m2")
    before = {key: await driver.redis.dump(key) for key in await driver.all_keys()}
    await driver.store.snapshot(0)
    assert {key: await driver.redis.dump(key) for key in await driver.all_keys()} == before
