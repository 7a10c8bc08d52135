"""The gaps between the messages of a person, whether or not a flush lay between, and the bursts that were split."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

import pytest

from buffer.insight_models import BOUNDS_MS
from tests.lua.driver import ANA, WINDOW_MS, ScriptDriver
from tests.lua.test_counters import bucket_of, histogram


async def split(driver: ScriptDriver) -> int:
    """Return how many bursts were split."""
    return (await driver.tally()).get("bursts_split", 0)


async def gaps(driver: ScriptDriver) -> dict[int, int]:
    """Return how many gaps were counted, by bucket."""
    found = await histogram(driver, "gap")
    return {number: count for number, count in enumerate(found.counts) if count}


def buckets(*gaps_ms: int) -> dict[int, int]:
    """Return how many of these gaps lie in each bucket."""
    return dict(Counter(bisect_left(BOUNDS_MS["gap"], gap_ms) for gap_ms in gaps_ms))


async def test_gap_within_a_burst(driver: ScriptDriver):
    """The gap between two messages of one burst is counted, and nothing was split."""
    await driver.append("m1")
    driver.clock.advance(2_000)
    await driver.append("m2")
    assert (await gaps(driver), await split(driver)) == (buckets(2_000), 0)
    assert 2_000 <= bucket_of(await histogram(driver, "gap")) < 2_700


async def test_gap_across_a_flush_in_flight(driver: ScriptDriver):
    """A message that comes while the batch is in flight shows that its burst was split."""
    await driver.in_flight("m1")
    driver.clock.advance(1_000)
    await driver.append("m2")
    assert (await gaps(driver), await split(driver)) == (buckets(WINDOW_MS + 1_000), 1)


@pytest.mark.parametrize(("after_ms", "expected"), [(3_000, 1), (3_001, 0)])
async def test_gap_after_an_answer(driver: ScriptDriver, after_ms: int, expected: int):
    """A message soon after the ack was written before the answer was read. A later one is a new subject."""
    batch = await driver.in_flight("m1")
    driver.clock.advance(1_000)
    await driver.store.ack(driver.ref(), batch.token)
    driver.clock.advance(after_ms)
    await driver.append("m2")
    assert (sum((await gaps(driver)).values()), await split(driver)) == (expected, expected)


@pytest.mark.parametrize(("gap_ms", "expected"), [(120_000, 1), (120_001, 0)])
async def test_long_silence(driver: ScriptDriver, gap_ms: int, expected: int):
    """Who writes again after two minutes begins a new burst, with or without an answer."""
    await driver.in_flight("m1")
    driver.clock.advance(gap_ms - WINDOW_MS)
    await driver.append("m2")
    assert (sum((await gaps(driver)).values()), await split(driver)) == (expected, expected)


async def test_answer_within_the_next_burst(driver: ScriptDriver):
    """An answer that comes while the next burst is open ends the counting of gaps to what came before it."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    driver.clock.advance(100)
    await driver.store.ack(driver.ref(), batch.token)
    driver.clock.advance(4_000)
    await driver.append("m3")
    driver.clock.advance(500)
    await driver.append("m4")
    assert await gaps(driver) == buckets(WINDOW_MS, 500)


async def test_every_message_alone(open_driver):
    """Where every message is its own flush there is no burst to split, and no window to choose."""
    driver = open_driver(message_buffer_enabled=False)
    await driver.append("m1")
    driver.clock.advance(1_000)
    await driver.append("m2")
    assert (await gaps(driver), await split(driver)) == ({}, 0)


async def test_messages_of_one_call(driver: ScriptDriver):
    """The messages of one call are the shortest gap apart."""
    await driver.append("m1", "m2", "m3")
    assert await gaps(driver) == {0: 2}


async def test_buckets_are_those_of_the_reader(driver: ScriptDriver):
    """A gap just under each bound lies in the bucket of that bound."""
    await driver.append("first")
    bounds = (await histogram(driver, "gap")).bounds_ms
    for number, bound in enumerate(bounds):
        driver.clock.advance(int(bound))
        await driver.store.flush_now(ANA)
        await driver.append(f"m{number}")
    found = await histogram(driver, "gap")
    assert found.counts == (1,) * 24
