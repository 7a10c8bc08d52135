"""The gaps between the messages of a person, whether or not a flush lay between, and the bursts that were split."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter

import pytest

from buffer.censored_gaps import HELD_SEEN_MS, READ_MAX, silent_bucket
from buffer.insight_models import BOUNDS_MS
from tests.lua.driver import ANA, WINDOW_MS, ScriptDriver
from tests.lua.reply_driver import ReplyDriver
from tests.lua.test_counters import bucket_of, histogram


async def split(driver: ScriptDriver) -> int:
    """Return how many bursts were split."""
    return (await driver.tally()).get("bursts_split", 0)


async def gaps(driver: ScriptDriver) -> dict[int, int]:
    """Return how many gaps were counted, by bucket."""
    found = await histogram(driver, "gap")
    return {number: count for number, count in enumerate(found.counts) if count}


async def read_answers(driver: ScriptDriver) -> dict[int, int]:
    """Return how many turns began after a read answer, by the bucket of the time up to its reading."""
    found = await driver.tally()
    return {int(name[9:]): count for name, count in found.items() if name.startswith("gap:read:")}


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


READ_MS = 3_000
"""So long after its ack an answer is read."""


@pytest.mark.parametrize("silence_ms", [1, 50_000, 100_000, 10_000_000])
async def test_turn_after_a_read_answer(driver: ScriptDriver, silence_ms: int):
    """It is no gap: counted is how long the person had not gone on when the answer was read, whenever they write."""
    batch = await driver.in_flight("m1")
    driver.clock.advance(1_000)
    await driver.store.ack(driver.ref(), batch.token)
    driver.clock.advance(READ_MS + silence_ms)
    await driver.append("m2", "m3")
    assert await gaps(driver) == {0: 1}
    assert await read_answers(driver) == {silent_bucket(WINDOW_MS + 1_000 + READ_MS, luck(driver)): 1}
    assert ((await driver.tally())["turns"], (await driver.tally())["gap:turns"]) == (2, 2)


async def test_late_answer(driver: ScriptDriver):
    """After more than a turn's longest gap it does not matter any more that an answer was read."""
    for number, silent_ms in enumerate((50_000, 70_000)):
        batch = await driver.in_flight(f"m{number}")
        driver.clock.advance(silent_ms - WINDOW_MS - READ_MS)
        await driver.store.ack(driver.ref(), batch.token)
        driver.clock.advance(70_000)
    await driver.append("m2")
    [bucket] = await read_answers(driver)
    assert bucket in (19, READ_MAX)
    assert (await gaps(driver), (await driver.tally())["gap:turns"]) == ({}, 3)


async def test_part_of_a_bucket(driver: ScriptDriver):
    """A bucket that was seen in part counts as often as that part, over many answers."""
    silent_ms, found = 12_000, Counter[int]()
    for shift in range(64):
        batch = await driver.in_flight(f"m{shift}")
        driver.clock.advance(silent_ms - WINDOW_MS - READ_MS)
        await driver.store.ack(driver.ref(), batch.token)
        driver.clock.advance(100_000 + (shift - driver.clock()) % 64)
    await driver.append("last")
    found.update(await read_answers(driver))
    first = bisect_left(BOUNDS_MS["gap"], silent_ms) - 1
    share = math.log(silent_ms / BOUNDS_MS["gap"][first]) / math.log(480) * 23
    assert set(found) == {first, first + 1}
    assert abs(found[first + 1] / found.total() - share) <= 2 / 64


@pytest.mark.parametrize(("over_ms", "is_gap"), [(0, True), (1, False)])
async def test_gap_that_only_a_hold_lets_us_see(driver: ScriptDriver, over_ms: int, is_gap: bool):
    """Only who goes on is held, so such a gap counts as if the answer had been read; but no turn begins."""
    await driver.append("m1")
    for _ in range(2):
        driver.clock.advance((WINDOW_MS + HELD_SEEN_MS) // 2 - 500)
        await driver.store.presence(ANA, "typing")
    driver.clock.advance(1_000 + over_ms)
    await driver.append("m2")
    seen = buckets(WINDOW_MS + HELD_SEEN_MS)
    assert await gaps(driver) == (seen if is_gap else {})
    silent = {silent_bucket(WINDOW_MS + HELD_SEEN_MS, luck(driver)): 1}
    assert await read_answers(driver) == ({} if is_gap else silent)
    tally = await driver.tally()
    assert (tally["turns"], tally["gap:turns"], tally.get("bursts_split", 0)) == (1, 1 if is_gap else 2, 0)


def luck(driver: ScriptDriver) -> float:
    """Return what decides now whether a bucket counts that was seen in part."""
    return driver.clock() % 64 / 64


async def test_gap_across_a_flush_in_flight(driver: ScriptDriver):
    """A message that comes while the batch is in flight shows that its burst was split."""
    await driver.in_flight("m1")
    driver.clock.advance(1_000)
    await driver.append("m2")
    assert (await gaps(driver), await split(driver)) == (buckets(WINDOW_MS + 1_000), 1)


async def test_gap_across_a_part_that_is_sent_again(driver: ScriptDriver, replies: ReplyDriver):
    """A part that was in doubt and refused tells nothing of when its person spoke last: they went on since."""
    doubt_id = await replies.doubt("olá")
    assert await replies.replies.settle_doubt(doubt_id, "send") == "ok"
    part = await driver.claim_batch(caller="w2")
    await replies.begin(part)
    assert await replies.end(part, end="refused") == "dead"
    batch = await driver.in_flight("m2")
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.store.redrive(doubt_id) == "ok"
    assert (await driver.claim_batch(caller="w3")).flush_id == doubt_id
    driver.clock.advance(1_000)
    await driver.append("m3")
    assert await gaps(driver) == buckets(WINDOW_MS, WINDOW_MS + 1_000)


@pytest.mark.parametrize(("after_ms", "expected"), [(3_000, 1), (3_001, 0)])
async def test_gap_after_an_answer(driver: ScriptDriver, after_ms: int, expected: int):
    """A message soon after the ack was written before the answer was read. A later one is a new subject."""
    batch = await driver.in_flight("m1")
    driver.clock.advance(1_000)
    await driver.store.ack(driver.ref(), batch.token)
    driver.clock.advance(after_ms)
    await driver.append("m2")
    assert (sum((await gaps(driver)).values()), await split(driver)) == (expected, expected)


@pytest.mark.parametrize(
    ("gap_ms", "known", "splits"), [(60_000, 1, 1), (60_001, 1, 0), (120_000, 1, 0), (120_001, 0, 0)]
)
async def test_long_silence(driver: ScriptDriver, gap_ms: int, known: int, splits: int):
    """Who writes again after a minute begins a turn, with or without an answer; gaps count up to two minutes."""
    await driver.in_flight("m1")
    driver.clock.advance(gap_ms - WINDOW_MS)
    await driver.append("m2")
    assert (sum((await gaps(driver)).values()), await split(driver)) == (known, splits)
    assert (await driver.tally())["turns"] == 2 - splits


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


CAP = 4


@pytest.mark.parametrize("count", [CAP, CAP + 1, 2 * CAP, 2 * CAP + 1, 3 * CAP + 3])
@pytest.mark.parametrize("at_once", [1, 3, 100], ids=["after each", "after every third", "at the end"])
async def test_a_cap_splits_a_burst_whenever_it_is_claimed(open_driver, count: int, at_once: int):
    """Each call beyond the first that a cap makes of a burst is a split, however soon a worker claims."""
    driver = open_driver(message_buffer_max_messages=CAP)
    calls = 0
    for number in range(count):
        driver.clock.advance(200)
        await driver.append(f"m{number}")
        if (number + 1) % at_once == 0:
            calls += await deliver_due(driver)
    driver.clock.advance(WINDOW_MS)
    calls += await deliver_due(driver)
    assert calls == -(-count // CAP)
    assert await split(driver) == calls - 1


async def deliver_due(driver: ScriptDriver) -> int:
    """Deliver what is due. Return how many calls that took."""
    calls = 0
    while (batch := (await driver.claim(caller=f"w{driver.clock()}-{calls}")).batch) is not None:
        assert await driver.store.ack(driver.ref(), batch.token) == "ok"
        calls += 1
    return calls


async def test_a_remainder_of_messages_that_stand_alone_is_no_split(open_driver):
    """Where every message is its own flush nothing is split, also if several wait."""
    driver = open_driver(message_buffer_enabled=False)
    await driver.append("m1", "m2", "m3")
    assert (await deliver_due(driver), await split(driver)) == (3, 0)


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
