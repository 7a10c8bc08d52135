"""doubts and settle_doubt: a person sees the parts in doubt, and decides about each."""

from __future__ import annotations

import pytest

from buffer.models import PauseMode
from tests.lua.driver import ANA, BIA, LEASE_MS, ids
from tests.lua.reply_driver import TEXTS, ReplyDriver

DAY_MS = 86_400_000


async def test_pages(replies: ReplyDriver):
    """Parts in doubt are listed oldest first, a page at a time, with the number of all."""
    for who in (ANA, BIA):
        await replies.doubt("olá", to=who)
    page = await replies.replies.doubts(0, 1, 1)
    assert (page.now_ms, page.total, [doubt.conversation for doubt in page.page]) == (replies.clock(), 2, [BIA])


async def test_part_of_a_dead_worker(replies: ReplyDriver):
    """The part that a dead worker had marked is in doubt, and the next claim goes on with the next part."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    replies.clock.advance(LEASE_MS)
    again = await replies.driver.claim_batch(caller="w2")
    assert (again.next_part, again.last_part, again.doubted_part, again.crashes) == (2, 3, 1, 1)
    [doubt] = await replies.doubts()
    assert (doubt.doubt_id, doubt.answer) == (f"{batch.flush_id}.1", b"{}")
    assert await replies.counters("parts_in_doubt") == {"parts_in_doubt": 1}


async def test_claim_repeated_by_the_same_worker(replies: ReplyDriver):
    """A claim that is repeated after a lost reply settles nothing."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    assert (await replies.driver.claim_batch()).next_part == 1
    assert await replies.doubts() == []


async def test_part_of_a_worker_that_was_stopped(replies: ReplyDriver):
    """A part that was on its way when its batch was released is in doubt, too."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    await replies.store.release(replies.driver.ref(), batch.token)
    assert (await replies.driver.claim_batch(caller="w2")).next_part == 2
    assert len(await replies.doubts()) == 1


async def test_resend(open_driver):
    """With REPLY_IN_DOUBT=resend the part of a dead worker is sent again, and not listed."""
    replies = ReplyDriver(open_driver(reply_in_doubt="resend"))
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    replies.clock.advance(LEASE_MS)
    again = await replies.driver.claim_batch(caller="w2")
    assert (again.next_part, again.doubted_part, await replies.doubts()) == (1, 0, [])
    assert (await replies.begin(again)).mark == "send"


async def test_echo_before_it_is_sent_again(open_driver):
    """With REPLY_IN_DOUBT=resend an echo of the first time still tells that the part was sent."""
    replies = ReplyDriver(open_driver(reply_in_doubt="resend"))
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    replies.clock.advance(LEASE_MS)
    again = await replies.driver.claim_batch(caller="w2")
    assert await replies.own("id1", "olá", human_pause_ms=60_000) == "ours"
    assert (await replies.begin(again)).mark == "lost"
    assert (await replies.begin(again, 2)).mark == "send"


async def test_last_part_in_doubt_when_the_worker_dies_once_too_often(replies: ReplyDriver):
    """A batch that becomes a dead letter keeps the parts after the one that is in doubt."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    assert await replies.driver.fail(batch.token, "dead") == "dead"
    assert len(await replies.doubts()) == 1
    assert await replies.store.redrive(batch.flush_id) == "ok"
    again = await replies.driver.claim_batch(caller="w2")
    assert (again.flush_id, again.next_part, again.last_part) == (batch.flush_id, 2, 3)


async def test_send_again(replies: ReplyDriver):
    """A part that a person sends again is a batch of its own, of this part alone, without a call of the agent."""
    doubt_id = await replies.doubt("olá")
    assert await replies.replies.settle_doubt(doubt_id, "send") == "ok"
    assert await replies.replies.settle_doubt(doubt_id, "send") == "unknown"
    again = await replies.driver.claim_batch(caller="w2")
    assert (again.flush_id, again.next_part, again.last_part, again.messages) == (doubt_id, 1, 1, ())
    assert (again.answer, again.conversation) == (b"{}", ANA)
    await replies.send(again)
    assert await replies.store.ack(replies.driver.ref(), again.token) == "ok"
    assert await replies.driver.is_idle()


async def test_only_that_part(replies: ReplyDriver):
    """Of several parts only the one in doubt is sent again, after those that are left."""
    doubt_id = await replies.doubt(*TEXTS)
    assert await replies.replies.settle_doubt(doubt_id, "send") == "ok"
    replies.clock.advance(LEASE_MS)
    rest = await replies.driver.claim_batch(caller="w2")
    assert (rest.next_part, rest.last_part) == (2, 3)
    for number in (2, 3):
        await replies.send(rest, number)
    await replies.store.ack(replies.driver.ref(), rest.token)
    again = await replies.driver.claim_batch(caller="w3")
    assert (again.flush_id, again.next_part, again.last_part) == (doubt_id, 1, 1)


async def test_in_doubt_again(replies: ReplyDriver):
    """A part that is sent again may be in doubt again, and be settled again."""
    doubt_id = await replies.doubt("olá")
    await replies.replies.settle_doubt(doubt_id, "send")
    again = await replies.driver.claim_batch(caller="w2")
    await replies.begin(again)
    await replies.end(again, end="in_doubt")
    [doubt] = await replies.doubts()
    assert doubt.doubt_id == f"{doubt_id}.1"
    assert await replies.replies.settle_doubt(doubt.doubt_id, "drop") == "ok"


async def test_drop(replies: ReplyDriver):
    """A part that a person drops is recorded and counted."""
    doubt_id = await replies.doubt("olá")
    assert await replies.replies.settle_doubt(doubt_id, "drop") == "ok"
    assert await replies.replies.settle_doubt(doubt_id, "drop") == "unknown"
    assert (await replies.doubts(), "doubts" in await replies.driver.conv()) == ([], False)
    [entry, *_] = await replies.driver.history()
    assert (entry["outcome"], entry["part"]) == ("dropped", doubt_id)
    assert await replies.counters("doubts_dropped") == {"doubts_dropped": 1}


@pytest.mark.parametrize("action", ["send", "drop"])
async def test_echo_after_the_decision(replies: ReplyDriver, action):
    """An echo that comes after a person has decided is still no human's word."""
    doubt_id = await replies.doubt("olá")
    await replies.replies.settle_doubt(doubt_id, action)
    for message_id in ("id1", "id1"):
        assert await replies.own(message_id, "olá", human_pause_ms=60_000) == "ours"
    assert await replies.own("id2", "olá", human_pause_ms=60_000) == "human"


async def test_sent_again_in_a_takeover(replies: ReplyDriver):
    """What a person sends again during a takeover waits for its end."""
    doubt_id = await replies.doubt("olá")
    until_ms = await replies.store.pause(ANA, 60_000, PauseMode.TAKEOVER)
    await replies.replies.settle_doubt(doubt_id, "send")
    assert (await replies.driver.claim(caller="w2")).until_ms == until_ms
    replies.clock.advance(60_000)
    assert (await replies.driver.claim_batch(caller="w2")).flush_id == doubt_id


async def test_outlives_its_conversation(replies: ReplyDriver):
    """A part in doubt stays when its conversation is forgotten, and can be sent again."""
    doubt_id = await replies.doubt("olá")
    replies.clock.advance(8 * DAY_MS)
    assert await replies.store.sweep(0) == 1
    assert len(await replies.doubts()) == 1
    assert await replies.replies.settle_doubt(doubt_id, "send") == "ok"
    assert (await replies.driver.claim_batch(caller="w2")).conversation == ANA


@pytest.mark.parametrize("end", ["refused", "later"])
async def test_redrive_sends_parts_only(replies: ReplyDriver, end):
    """A dead letter keeps answer and parts: a redrive goes on with the part that failed (docs/invariants.md#16)."""
    batch = await replies.answered(*TEXTS)
    await replies.send(batch)
    await replies.begin(batch, 2)
    if end == "later":
        await replies.end(batch, 2, "later", delay_ms=1, give_up_ms=1)
        replies.clock.advance(1)
        batch = await replies.driver.claim_batch(caller="w2")
        await replies.begin(batch, 2)
    assert await replies.end(batch, 2, end, give_up_ms=1, reason="blocked") == "dead"
    assert await replies.store.redrive(batch.flush_id) == "ok"
    again = await replies.driver.claim_batch(caller="w3")
    assert (again.flush_id, again.answer, ids(again)) == (batch.flush_id, b"{}", ["m1"])
    assert (again.next_part, again.last_part, again.attempt) == (2, 3, 1)


async def test_answer_without_messages(replies: ReplyDriver):
    """A batch whose messages are gone is delivered if its answer is there, and dies and comes back as a letter."""
    batch = await replies.answered(*TEXTS)
    await replies.driver.redis.delete(replies.driver.key("batch"))
    replies.clock.advance(LEASE_MS)
    again = await replies.driver.claim_batch(caller="w2")
    assert (again.messages, again.next_part) == ((), 1)
    await replies.begin(again)
    assert await replies.end(again, end="refused") == "dead"
    assert await replies.store.redrive(batch.flush_id) == "ok"
    assert (await replies.driver.claim_batch(caller="w3")).next_part == 1


async def test_letter_of_another_type(replies: ReplyDriver):
    """A key of another type in the place of a doubt is set aside, and the doubt is listed."""
    batch = await replies.answered("olá")
    ref = replies.driver.ref()
    await replies.driver.redis.set(replies.store.keys.of(ref.partition, "doubted", f"{batch.flush_id}.1"), "not ours")
    await replies.begin(batch)
    assert await replies.end(batch, end="in_doubt") == "ok"
    assert [doubt.answer for doubt in await replies.doubts()] == [b"{}"]


async def test_index_of_another_type(replies: ReplyDriver):
    """An index of doubts that cannot be read is set aside, and nothing is lost."""
    await replies.driver.redis.set(replies.driver.partition_key("doubt"), "not ours")
    await replies.doubt("olá")
    assert len(await replies.doubts()) == 1
    assert await replies.driver.redis.exists(replies.driver.partition_key("sick") + ":doubt") == 1
