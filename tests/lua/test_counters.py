"""What the scripts count for each channel."""

from __future__ import annotations

import asyncio

import pytest

from buffer.insight_models import BOUNDS_MS, CHANNEL_COUNTERS, Histogram
from buffer.insights import Insights
from buffer.models import Conversation
from buffer.reply_models import OwnMessage
from tests.lua.driver import ANA, BIA, LEASE_MS, MAX_WAIT_MS, WINDOW_MS, ScriptDriver
from tests.lua.reply_driver import ReplyDriver
from tests.messages import message

OTHER = Conversation("generic", "suporte", "ana")


async def counted(driver: ScriptDriver, *names: str, to: Conversation = ANA) -> dict[str, int]:
    """Return counters of a channel, those that are 0 left out; all of them without names."""
    tally = await driver.tally(to)
    return {name: tally[name] for name in names or CHANNEL_COUNTERS if tally.get(name)}


async def histogram(driver: ScriptDriver, name: str) -> Histogram:
    """Return a histogram of the one channel."""
    [totals] = await Insights(driver.store).totals()
    return totals.histograms[name]


def bucket_of(histogram: Histogram) -> float:
    """Return the upper bound in ms of the only bucket with a value."""
    [bound] = [bound for bound, count in zip(histogram.bounds_ms, histogram.counts, strict=True) if count]
    return bound


async def test_messages_of_two_channels_in_one_call(driver: ScriptDriver):
    """Each channel has its own counters, also when one call brings messages of both."""
    both = [(await driver.append("m1", "m2", to=ANA)), (await driver.append("m1", to=OTHER))]
    assert [len(each) for each in both] == [2, 1]
    await driver.append("m1", to=OTHER)
    assert await counted(driver) == {"messages_accepted": 2, "turns": 1}
    assert await counted(driver, to=OTHER) == {"messages_accepted": 1, "messages_duplicate": 1, "turns": 1}


@pytest.mark.parametrize(
    ("overrides", "names", "expected"),
    [
        ({"message_max_age": 10}, ["m1"], "messages_stale"),
        ({"message_buffer_max_pending": 1}, ["m1", "m2"], "messages_full"),
    ],
)
async def test_refused_messages(open_driver, overrides, names, expected):
    """A message that is too old, or one too many, is counted as such."""
    driver = open_driver(**overrides)
    old_ms = driver.clock() - 60_000 if expected == "messages_stale" else None
    await driver.append(*names, order_ms=old_ms)
    assert (await counted(driver, expected)) == {expected: 1}


async def test_broken_message(driver: ScriptDriver):
    """A message for a damaged conversation is counted for its channel."""
    await driver.redis.set(driver.key("conv"), "of another type")
    await driver.append("m1")
    assert await counted(driver) == {"messages_broken": 1}
    await driver.clean()


async def test_flush(driver: ScriptDriver):
    """A flush is counted when it is sealed, by its reason and size, and when it is acked."""
    batch = await driver.in_flight("m1", "m2", "m3")
    assert await counted(driver) == {
        "messages_accepted": 3,
        "turns": 1,
        "flushes_quiet": 1,
        "flush_messages": 3,
    }
    await driver.store.ack(driver.ref(), batch.token)
    assert await counted(driver, "acked", "flushes_single") == {"acked": 1}


async def test_flush_of_one_message(driver: ScriptDriver):
    """A flush of one message is counted as such."""
    await driver.in_flight("m1")
    assert await counted(driver, "flushes_quiet", "flushes_single", "flush_messages") == {
        "flushes_quiet": 1,
        "flushes_single": 1,
        "flush_messages": 1,
    }


async def test_flush_is_counted_once(driver: ScriptDriver):
    """A flush that is claimed again counts once; the claim that follows a dead worker counts a recovered lease."""
    await driver.in_flight("m1")
    assert (await driver.claim()).status == "batch"
    driver.clock.advance(LEASE_MS)
    assert (await driver.claim(caller="w2")).status == "batch"
    assert await counted(driver, "flushes_quiet", "leases_recovered") == {"flushes_quiet": 1, "leases_recovered": 1}


async def test_flush_now_and_max_wait(open_driver):
    """Each reason has its own counter."""
    driver = open_driver(message_buffer_max_messages=3)
    await driver.append("m1")
    await driver.store.flush_now(ANA)
    batch = await driver.claim_batch()
    await driver.store.ack(driver.ref(), batch.token)
    await driver.append("m2", "m3", "m4")
    await driver.claim_batch()
    assert await counted(driver, "flushes_manual", "flushes_max_messages") == {
        "flushes_manual": 1,
        "flushes_max_messages": 1,
    }


async def test_busy_claim(driver: ScriptDriver):
    """A claim that another worker's lease refuses is counted."""
    await driver.in_flight("m1")
    assert (await driver.claim(caller="w2")).status == "busy"
    assert await counted(driver, "claims_busy") == {"claims_busy": 1}


@pytest.mark.parametrize(("mode", "dead"), [("retry", 0), ("dead", 1), ("release", 0)])
async def test_failures(driver: ScriptDriver, mode: str, dead: int):
    """A failed attempt counts, the hand-back of a worker that stops does not."""
    batch = await driver.in_flight("m1")
    await driver.fail(batch.token, mode)
    expected = {"agent_failures": int(mode != "release"), "dead_letters": dead}
    assert await counted(driver, *expected) == {name: value for name, value in expected.items() if value}


async def test_dead_letter_that_is_redriven_and_discarded(driver: ScriptDriver):
    """A redrive counts once; a discarded letter counts its messages."""
    batch = await driver.make_dead_letter("m1", "m2")
    for _ in range(2):
        await driver.store.redrive(batch.flush_id)
    again = await driver.claim_batch(caller="w2")
    await driver.fail(again.token, "dead")
    await driver.store.discard_letter(batch.flush_id)
    names = ("dead_letters", "redriven", "messages_discarded", "flushes_quiet")
    assert await counted(driver, *names) == {
        "dead_letters": 2,
        "redriven": 1,
        "messages_discarded": 2,
        "flushes_quiet": 1,
    }


async def test_takeover(driver: ScriptDriver, replies: ReplyDriver):
    """A human's word counts as a takeover, and what the person said before as discarded."""
    await driver.append("m1", "m2")
    await replies.replies.own_message(OwnMessage(ANA, "id", None, b"", human_pause_ms=60_000))
    await driver.append("m3")
    assert await counted(driver) == {
        "messages_accepted": 2,
        "turns": 1,
        "messages_discarded": 3,
        "takeovers": 1,
    }


async def test_takeover_of_somebody_unknown(driver: ScriptDriver, replies: ReplyDriver):
    """A human of ours who writes first counts for the channel, too."""
    await replies.replies.own_message(OwnMessage(ANA, "id", None, b"", human_pause_ms=60_000))
    assert await counted(driver) == {"takeovers": 1}


async def test_damaged_span(driver: ScriptDriver):
    """A span that no script has written stops no message, also not those of others in the same call."""
    await driver.append("m1")
    await driver.redis.hset(driver.key("conv"), "span", "short")
    found = await driver.store.append([message("m2", ANA), message("m1", BIA)])
    assert [one.status for one in found] == ["new", "new"]


async def test_lateness(driver: ScriptDriver):
    """The lateness of a flush is the time from its deadline to its first claim."""
    await driver.append("m1")
    driver.clock.advance(WINDOW_MS + 70)
    await driver.claim_batch()
    found = await histogram(driver, "lateness_ms")
    assert (bucket_of(found), found.sum_ms) == (100, 70)


async def test_lateness_behind_a_batch(driver: ScriptDriver):
    """A burst that waits for the batch before it is due when that is acked: the agent's time is not the worker's."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    driver.clock.advance(WINDOW_MS + 5_000)
    await driver.store.ack(driver.ref(), batch.token)
    driver.clock.advance(30)
    await driver.claim_batch(caller="w2")
    found = await histogram(driver, "lateness_ms")
    assert (found.count, found.sum_ms) == (2, 30)


async def test_lateness_after_a_pause(driver: ScriptDriver):
    """A burst that an operator held is due at the end of the pause."""
    await driver.append("m1")
    await driver.store.pause(ANA, 60_000)
    driver.clock.advance(60_200)
    await driver.claim_batch()
    assert (await histogram(driver, "lateness_ms")).sum_ms == 200


async def test_agent_time_of_an_answer(driver: ScriptDriver):
    """The time of the agent comes with its answer, and counts once though the reply to the script was lost."""
    batch = await driver.in_flight("m1")
    for _ in range(2):
        await driver.store.answered(driver.ref(), batch.token, b"{}", b"abcdefgh", agent_ms=700)
    found = await histogram(driver, "agent_ms")
    assert (bucket_of(found), found.count, found.sum_ms) == (1000, 1, 700)
    assert await counted(driver, "answers_again") == {}


async def test_agent_time_without_a_reply(driver: ScriptDriver):
    """An agent that answers by itself is timed by the ack."""
    batch = await driver.in_flight("m1")
    for _ in range(2):
        await driver.store.ack(driver.ref(), batch.token, agent_ms=99)
    found = await histogram(driver, "agent_ms")
    assert (bucket_of(found), found.sum_ms) == (100, 99)


@pytest.mark.parametrize("prints", [b"", b"abcdefgh"])
async def test_second_answer(driver: ScriptDriver, prints: bytes):
    """Another answer for a batch that has one, or the same under another lease, is counted."""
    batch = await driver.in_flight("m1")
    for answer in (b"{}", b'{"reply":"oi"}'):
        await driver.store.answered(driver.ref(), batch.token, answer, prints)
    assert await counted(driver, "answers_again") == {"answers_again": 1}
    driver.clock.advance(LEASE_MS)
    again = await driver.claim_batch(caller="w2")
    await driver.store.answered(driver.ref(), again.token, again.answer or b"", prints)
    assert await counted(driver, "answers_again") == {"answers_again": 2}


async def test_reply_time(driver: ScriptDriver, replies: ReplyDriver):
    """The reply time runs from the last message of the batch to the first part that was sent."""
    batch = await replies.answered("olá", "tudo bem?")
    driver.clock.advance(300)
    await replies.send(batch, 1)
    driver.clock.advance(300)
    await replies.send(batch, 2)
    found = await histogram(driver, "reply_ms")
    assert (found.count, found.sum_ms, bucket_of(found)) == (1, WINDOW_MS + 300, 10_000)


async def test_doubts(driver: ScriptDriver, replies: ReplyDriver):
    """A part in doubt, and what becomes of it, counts for its channel."""
    doubt_id = await replies.doubt("olá")
    await replies.replies.settle_doubt(doubt_id, "drop")
    assert await counted(driver, "parts_in_doubt", "doubts_dropped", "parts_sent") == {
        "parts_in_doubt": 1,
        "doubts_dropped": 1,
    }


async def test_longest_wait(driver: ScriptDriver):
    """A burst that the longest wait ended is counted as such."""
    for number in range(20):
        await driver.append(f"m{number}")
        driver.clock.advance(WINDOW_MS - 1_000)
        if number * (WINDOW_MS - 1_000) > MAX_WAIT_MS:
            break
    await driver.claim_batch()
    assert (await counted(driver, "flushes_max_wait", "flushes_quiet")) == {"flushes_max_wait": 1}


async def test_too_many_channels(driver: ScriptDriver):
    """The channels beyond the limit of a partition are counted together, and none twice."""
    channels = [f"generic:c{number}" for number in range(1_000)]
    await driver.redis.sadd(driver.partition_key("channels"), *channels)
    for to in (ANA, OTHER):
        await driver.append("m1", "m2", to=to)
        driver.clock.advance(1_000)
        await driver.append("m3", to=to)
    assert await driver.tally(ANA) == {}
    others = await driver.tally(Conversation("", "", ""))
    assert others["messages_accepted"] == 6
    assert others["gap:0"] + others["gap:6"] == 4
    named = [totals for totals in await Insights(driver.store).totals() if totals.counters]
    assert [(totals.gateway, totals.channel) for totals in named] == [("", "")]


@pytest.mark.parametrize("kind", ["tally", "channels", "history"])
async def test_key_of_another_type(driver: ScriptDriver, kind: str):
    """A damaged key of the counters stops nothing: it is set aside, and counting goes on."""
    await driver.append("m0")
    await driver.tally()
    [tally] = [key for key in await driver.all_keys() if ":tally:" in key]
    key = tally if kind == "tally" else driver.partition_key(kind)
    await driver.redis.delete(key)
    await driver.redis.set(key, "of another type")
    driver.clock.advance(1_000)
    batch = await driver.in_flight("m1", "m2")
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    assert await counted(driver, "flushes_quiet", "acked") == {"flushes_quiet": 1, "acked": 1}
    assert [totals.counters["acked"] for totals in await Insights(driver.store).totals()] == [1]
    assert [record["outcome"] for record in await driver.history()] == ["acked"]


async def test_bounds_are_those_of_the_scripts(driver: ScriptDriver):
    """A value that equals a bound lies in its bucket, one that is greater in the next."""
    for bound in BOUNDS_MS["lateness_ms"][:-1]:
        for more in (0, 1):
            who = Conversation("generic", "loja", f"{bound}-{more}")
            await driver.append("m1", to=who)
            driver.clock.advance(WINDOW_MS + int(bound) + more)
            await driver.claim_batch(who)
    assert (await histogram(driver, "lateness_ms")).counts == (1, *[2] * 11, 1)


async def test_counts_of_another_type(driver: ScriptDriver):
    """A key `uncounted` of another type stops nothing: it is set aside, and counting goes on."""
    key = driver.partition_key("uncounted")
    await driver.redis.rpush(key, "of another type")
    assert [one.status for one in await driver.append("m1")] == ["new"]
    assert (await driver.tally())["messages_accepted"] == 1
    await driver.redis.rpush(key, "of another type")
    assert (await driver.tally())["messages_accepted"] == 1
    assert await driver.redis.exists(driver.partition_key("sick") + ":uncounted")
    assert [totals.counters["messages_accepted"] for totals in await Insights(driver.store).totals()] == [1]


@pytest.mark.parametrize("garbage", [b"garbage", b"\0\0\3abc\0\1a", b"\0\0\1:\0", b"\0"])
async def test_counts_that_no_script_has_written(driver: ScriptDriver, garbage: bytes):
    """What was counted before the garbage counts; the garbage and what follows is kept as evidence."""
    await driver.append("m1")
    await driver.redis.append(driver.partition_key("uncounted"), garbage)
    assert (await driver.tally())["messages_accepted"] == 1
    assert await driver.redis.get(driver.partition_key("sick") + ":uncounted") == garbage
    await driver.append("m2")
    assert (await driver.tally())["messages_accepted"] == 2


async def test_counts_are_added_up_when_there_are_many(driver: ScriptDriver):
    """Without a worker, append adds what it has written down to the tallies before it grows long; nothing is lost."""
    key, run = driver.partition_key("uncounted"), b"\0\0\x0cgeneric:loja\0\x04\x1e\x1e\x1e\x1e"
    await driver.redis.append(key, 1_560 * run)
    longest, sent = 0, 0
    while not await driver.redis.hexists(driver.partition_key("tally") + ":generic:loja", "messages_accepted"):
        longest = await driver.redis.strlen(key)
        await driver.append(*(f"m{sent + i}" for i in range(20)))
        sent += 20
        driver.clock.advance(100)
    assert 32_000 < longest <= 32_768
    assert not await driver.redis.exists(key)
    tally = await driver.tally()
    assert (tally["messages_accepted"], tally["gap:0"], tally["turns"]) == (4 * 1_560 + sent, sent - 1, 1)


async def test_many_messages_in_one_call(driver: ScriptDriver):
    """Each of them is counted, for whichever channel it is, in turn or in long runs."""
    await driver.append(*(f"m{i}" for i in range(9_000)))
    tally = await driver.tally()
    assert (tally["messages_accepted"], tally["gap:0"]) == (9_000, 8_999)


async def test_fold_again_after_a_lost_reply(driver: ScriptDriver):
    """Two workers that fold at once, or one that does so again, count nothing twice."""
    await driver.append("m1")
    await asyncio.gather(*(Insights(driver.store).fold() for _ in range(4)))
    assert (await driver.tally())["messages_accepted"] == 1


async def test_turn_that_is_split_twice(driver: ScriptDriver):
    """A turn of three bursts has two splits and counts once as split, also when one burst was acked between."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    await driver.store.ack(driver.ref(), batch.token)
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch(caller="w2")
    await driver.store.ack(driver.ref(), batch.token)
    driver.clock.advance(1_000)
    await driver.append("m3")
    names = ("turns", "turns_split", "bursts_split")
    assert await counted(driver, *names) == {"turns": 1, "turns_split": 1, "bursts_split": 2}
    driver.clock.advance(61_000)
    await driver.append("m4")
    [totals] = await Insights(driver.store).totals()
    assert (totals.counters["turns"], totals.gap_turns) == (2, 2)


async def test_wait(driver: ScriptDriver):
    """The wait of a batch is the time from its last message to its first claim."""
    await driver.append("m1")
    driver.clock.advance(1_000)
    await driver.append("m2")
    driver.clock.advance(WINDOW_MS + 70)
    await driver.claim_batch()
    found = await histogram(driver, "wait_ms")
    assert (found.count, found.sum_ms, bucket_of(found)) == (1, WINDOW_MS + 70, 10_000)


async def test_bounds_of_the_wait_are_those_of_the_scripts(driver: ScriptDriver):
    """A wait that equals a bound lies in its bucket, one that is greater in the next."""
    bounds = [bound for bound in BOUNDS_MS["wait_ms"][:-1] if bound >= WINDOW_MS]
    for bound in bounds:
        for more in (0, 1):
            who = Conversation("generic", "loja", f"{bound}-{more}")
            await driver.append("m1", to=who)
            driver.clock.advance(int(bound) + more)
            await driver.claim_batch(who)
    assert (await histogram(driver, "wait_ms")).counts[-len(bounds) - 1 :] == (1, *[2] * (len(bounds) - 1), 1)
