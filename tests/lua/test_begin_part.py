"""begin_part: a part is marked before its request leaves, when limits, pauses and its channel let it."""

from __future__ import annotations

import asyncio

import pytest

from buffer.models import Batch, Conversation, PauseMode
from buffer.reply_calls import tag_of
from buffer.reply_models import SendLimits
from tests.lua.driver import ANA, BIA, LEASE_MS, WINDOW_MS, ScriptDriver
from tests.lua.reply_driver import TEXTS, ReplyDriver

TAG = tag_of(ANA.gateway, ANA.channel)
PEOPLE = [Conversation("generic", "loja", f"person-{number}") for number in range(30)]
CHANNEL = SendLimits(channel_interval_ms=1_000)
PERSON = SendLimits(person_interval_ms=6_000, person_burst=2)


async def answer_all(replies: ReplyDriver, people: list[Conversation]) -> dict[Conversation, Batch]:
    """Claim a burst of each, and store an answer of one part."""
    for who in people:
        await replies.driver.append("m1", to=who)
    replies.clock.advance(WINDOW_MS)
    batches = {who: await replies.driver.claim_batch(who) for who in people}
    for who, batch in batches.items():
        assert await replies.answer(batch, "olá", to=who) == "ok"
    return batches


async def test_first_part(replies: ReplyDriver):
    """The first part of an answer may leave at once, and is marked in the conversation."""
    batch = await replies.answered(*TEXTS)
    assert await replies.begin(batch) == ("send", None)
    conv = await replies.driver.conv()
    assert (conv["next_part"], conv["sending_ms"]) == ("1", str(replies.clock()))


async def test_lost_reply(replies: ReplyDriver):
    """A repeated call of the worker that holds the mark returns the same."""
    batch = await replies.answered(*TEXTS)
    for _ in range(3):
        assert await replies.begin(batch, limits=CHANNEL) == ("send", None)
    used_until_ms = await replies.driver.redis.get(f"{replies.driver.partition_key('rate')}:{TAG}")
    assert int(used_until_ms) == replies.clock() + 1_000


@pytest.mark.parametrize("number", [0, 2, 3, 4])
async def test_only_the_next_part(replies: ReplyDriver, number: int):
    """No other part than the next one may leave."""
    batch = await replies.answered(*TEXTS)
    assert (await replies.begin(batch, number)).mark == "lost"
    assert "sending_ms" not in await replies.driver.conv()


async def test_answer_without_parts(replies: ReplyDriver):
    """An answer without parts has none that may leave."""
    batch = await replies.answered()
    assert (await replies.begin(batch, 0)).mark == "lost"


async def test_fenced(replies: ReplyDriver):
    """A worker whose lease another one has taken over gets no mark."""
    batch = await replies.answered(*TEXTS)
    replies.clock.advance(LEASE_MS)
    after = await replies.driver.claim_batch(caller="w2")
    assert (await replies.begin(batch)).mark == "lost"
    assert (await replies.begin(after)).mark == "send"


async def test_lease_is_over(replies: ReplyDriver):
    """A worker whose lease is over gets no mark, even if nobody has claimed the batch yet."""
    batch = await replies.answered(*TEXTS)
    replies.clock.advance(LEASE_MS)
    assert (await replies.begin(batch)).mark == "lost"


@pytest.mark.parametrize("stop", ["discard", "takeover"])
async def test_cancelled(replies: ReplyDriver, stop: str):
    """After a discard or a takeover no part is marked."""
    batch = await replies.answered(*TEXTS)
    if stop == "discard":
        await replies.store.discard(ANA)
    else:
        await replies.store.pause(ANA, 60_000, PauseMode.TAKEOVER)
    assert (await replies.begin(batch)).mark == "cancelled"
    assert "sending_ms" not in await replies.driver.conv()


async def test_pause_of_an_operator(replies: ReplyDriver):
    """Parts wait for the end of a pause, and leave when it is resumed before that."""
    batch = await replies.answered(*TEXTS)
    until_ms = await replies.store.pause(ANA, 60_000)
    for _ in range(2):
        assert await replies.begin(batch) == ("wait", until_ms)
    assert (await replies.driver.claim()).status == "paused"
    assert await replies.store.resume(ANA)
    assert await replies.driver.wake_ms() == replies.clock()
    again = await replies.driver.claim_batch(caller="w2")
    assert (again.next_part, (await replies.begin(again)).mark) == (1, "send")


async def test_limit_of_the_channel(replies: ReplyDriver):
    """Parts of a channel leave one interval after the other; one that waits keeps its moment, and its turn."""
    people = PEOPLE[:4]
    batches = await answer_all(replies, people)
    began = [await replies.begin(batches[who], to=who, limits=CHANNEL) for who in people]
    assert [part.mark for part in began] == ["send", "wait", "wait", "wait"]
    now_ms = replies.clock()
    assert [part.at_ms for part in began] == [None, now_ms + 1_000, now_ms + 2_000, now_ms + 3_000]
    replies.clock.advance(1_000)
    batch = await replies.driver.claim_batch(people[1], "w2")
    assert await replies.begin(batch, to=people[1], limits=CHANNEL) == ("send", None)
    assert (await replies.driver.claim(people[2], "w2")).until_ms == now_ms + 2_000


async def test_waiting_part_in_the_wake_index(replies: ReplyDriver):
    """The moment of a part that waits stands in the wake index, and its lease is given back."""
    first, second = await replies.answered("olá"), await replies.answered("olá", to=BIA)
    await replies.begin(first, limits=CHANNEL)
    for _ in range(2):
        assert await replies.begin(second, to=BIA, limits=CHANNEL) == ("wait", replies.clock() + 1_000)
    assert await replies.driver.wake_ms(BIA) == replies.clock() + 1_000
    assert "token" not in await replies.driver.conv(BIA)
    assert await replies.driver.redis.exists(replies.driver.key("lock", BIA)) == 0


async def test_limit_of_a_person(replies: ReplyDriver):
    """A person gets a burst of parts at once, then one in each interval; other people are not held up."""
    batch = await replies.answered(*TEXTS)
    for number in (1, 2):
        assert (await replies.begin(batch, number, limits=PERSON)).mark == "send"
        await replies.end(batch, number)
    assert await replies.begin(batch, 3, limits=PERSON) == ("wait", replies.clock() + 6_000)
    other = await replies.answered("olá", to=BIA)
    assert (await replies.begin(other, to=BIA, limits=PERSON)).mark == "send"


async def test_held_channel(replies: ReplyDriver):
    """While a channel is held, its parts wait; then one part probes it, and the others wait on."""
    first, second = await replies.answered("olá"), await replies.answered("olá", to=BIA)
    await replies.begin(first)
    assert await replies.end(first, end="misconfigured", delay_ms=5_000, reason="401") == "held"
    until_ms = replies.clock() + 5_000
    assert await replies.begin(second, to=BIA) == ("held", until_ms)
    replies.clock.advance(5_000)
    first, second = await replies.driver.claim_batch(), await replies.driver.claim_batch(BIA)
    assert (await replies.begin(first)).mark == "send"
    assert await replies.begin(second, to=BIA) == ("held", replies.clock() + 30_000)
    assert await replies.end(first) == "ok"
    replies.clock.advance(30_000)
    assert (await replies.begin(await replies.driver.claim_batch(BIA), to=BIA)).mark == "send"


async def test_many_in_one_call(replies: ReplyDriver):
    """Many conversations in one call get their own replies, and a damaged one fails alone."""
    batches = await answer_all(replies, PEOPLE)
    await replies.driver.redis.set(replies.driver.key("conv", PEOPLE[7]), "not ours")
    began = await asyncio.gather(*(replies.begin(batches[who], to=who) for who in PEOPLE))
    assert [part.mark == "send" for part in began] == [who != PEOPLE[7] for who in PEOPLE]


async def test_keys_of_another_type(driver: ScriptDriver, replies: ReplyDriver):
    """Limits and holds that cannot be read stop no part."""
    await driver.redis.lpush(f"{driver.partition_key('rate')}:{TAG}", "not ours")
    await driver.redis.set(f"{driver.partition_key('held')}:{TAG}", "not ours")
    await driver.redis.set(f"{driver.partition_key('sent')}:new", "not ours")
    batch = await replies.answered("olá")
    assert (await replies.begin(batch, own_id="own", limits=CHANNEL)).mark == "send"
    assert await replies.end(batch, end="misconfigured", delay_ms=5_000) == "held"
    await driver.redis.delete(f"{driver.partition_key('sent')}:new")
