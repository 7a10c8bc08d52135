"""end_part: how a part ended decides about the next one, its own next try, and its channel."""

from __future__ import annotations

import pytest

from buffer.models import PauseMode
from buffer.reply_models import PartEnd
from tests.lua.driver import ANA, BIA, LEASE_MS, ids
from tests.lua.reply_driver import TEXTS, ReplyDriver

RATE = "rate:"


async def test_parts_in_order(replies: ReplyDriver):
    """Each part that was sent makes way for the next one; after the last one comes the ack."""
    batch = await replies.answered(*TEXTS)
    for number in (1, 2, 3):
        await replies.send(batch, number, f"id{number}")
    assert await replies.store.ack(replies.driver.ref(), batch.token) == "ok"
    assert await replies.counters("parts_sent", "acked") == {"parts_sent": 3, "acked": 1}
    assert {"prints", "next_part", "sending_ms"}.isdisjoint(await replies.driver.conv())


@pytest.mark.parametrize("end", ["sent", "in_doubt", "later", "limited", "misconfigured", "refused"])
async def test_lost_reply(replies: ReplyDriver, end: PartEnd):
    """A repeated call returns the same, and counts once."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    outcomes = {await replies.end(batch, end=end, delay_ms=0 if end == "sent" else 5_000) for _ in range(3)}
    assert len(outcomes) == 1
    totals = await replies.counters("parts_sent", "parts_in_doubt", "parts_refused", "dead")
    assert set(totals.values()) <= {1}


async def test_not_begun(replies: ReplyDriver):
    """The end of a part that was never marked changes nothing."""
    batch = await replies.answered(*TEXTS)
    assert await replies.end(batch) == "lost"
    assert (await replies.begin(batch)).mark == "send"


async def test_in_doubt_does_not_hold_the_rest(replies: ReplyDriver):
    """A part in doubt is listed with its answer, and the next one may leave."""
    batch = await replies.driver.in_flight("m1")
    await replies.answer(batch, *TEXTS, answer=b'{"parts":[]}')
    await replies.begin(batch)
    assert await replies.end(batch, end="in_doubt", reason="the answer was lost") == "ok"
    assert (await replies.begin(batch, 2)).mark == "send"
    [doubt] = await replies.doubts()
    assert (doubt.doubt_id, doubt.number, doubt.conversation) == (f"{batch.flush_id}.1", 1, ANA)
    assert (doubt.reason, doubt.answer, doubt.since_ms) == ("the answer was lost", b'{"parts":[]}', replies.clock())


async def test_pace(replies: ReplyDriver):
    """Between two parts the lease is given back, and the moment of the next one stands in the wake index."""
    batch = await replies.answered("olá", "tudo bem?")
    await replies.begin(batch)
    assert await replies.end(batch, delay_ms=4_000) == "later"
    assert await replies.driver.wake_ms() == replies.clock() + 4_000
    assert (await replies.driver.claim(caller="w2")).status == "busy"
    replies.clock.advance(4_000)
    again = await replies.driver.claim_batch(caller="w2")
    assert (again.next_part, again.last_part, again.crashes, ids(again)) == (2, 2, 0, ["m1"])
    await replies.begin(again, 2)
    assert await replies.end(again, 2, delay_ms=4_000) == "ok"


async def test_next_burst_waits_for_the_parts(replies: ReplyDriver):
    """What the person writes meanwhile is sealed after the last part."""
    batch = await replies.answered("olá", "tudo bem?")
    await replies.driver.append("m2", keyword=True)
    await replies.begin(batch)
    assert await replies.end(batch, delay_ms=4_000) == "later"
    replies.clock.advance(4_000)
    again = await replies.driver.claim_batch(caller="w2")
    assert ids(again) == ["m1"]
    await replies.send(again, 2)
    await replies.store.ack(replies.driver.ref(), again.token)
    assert ids(await replies.driver.claim_batch(caller="w3")) == ["m2"]


async def test_later(replies: ReplyDriver):
    """A part without effect is put back: the lease is given back, and the same part is tried again."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    assert await replies.end(batch, end="later", delay_ms=5_000, give_up_ms=60_000) == "later"
    assert await replies.driver.wake_ms() == replies.clock() + 5_000
    replies.clock.advance(5_000)
    again = await replies.driver.claim_batch(caller="w2")
    assert (again.next_part, (await replies.begin(again)).mark) == (1, "send")


async def test_give_up(replies: ReplyDriver):
    """A part that is put back for too long makes a dead letter, whose age counts from its first failure."""
    batch = await replies.answered(*TEXTS)
    for caller in ("w2", "w3", "w4"):
        await replies.begin(batch)
        assert await replies.end(batch, end="later", delay_ms=10_000, give_up_ms=30_000) == "later"
        replies.clock.advance(10_000)
        batch = await replies.driver.claim_batch(caller=caller)
    await replies.begin(batch)
    assert await replies.end(batch, end="later", give_up_ms=30_000, reason="429 for too long") == "dead"
    [letter] = (await replies.store.dead_letters(0)).page
    assert (letter.flush_id, letter.error) == (batch.flush_id, "429 for too long")


async def test_limited_for_the_whole_channel(replies: ReplyDriver):
    """After a 429 no other part of the channel leaves before its time, and a longer wait stays."""
    from buffer.reply_models import SendLimits

    limits = SendLimits(channel_interval_ms=1_000)
    first, second = await replies.answered("olá"), await replies.answered("olá", to=BIA)
    await replies.begin(first, limits=limits)
    assert await replies.end(first, end="limited", delay_ms=7_000) == "later"
    assert await replies.begin(second, to=BIA, limits=limits) == ("wait", replies.clock() + 7_000)


async def test_misconfigured(replies: ReplyDriver):
    """A channel through which nothing can be sent is held, since the first failure, with the last reason."""
    batch = await replies.answered("olá")
    began_ms = replies.clock()
    for number, reason in enumerate(("401", "instance disconnected"), 1):
        await replies.begin(batch)
        assert await replies.end(batch, end="misconfigured", delay_ms=5_000, reason=reason) == "held"
        replies.clock.advance(5_000)
        batch = await replies.driver.claim_batch(caller=f"w{number + 1}")
    [name] = [key for key in await replies.driver.all_keys() if ":held:" in key]
    held = await replies.driver.redis.hgetall(name)
    assert held[b"since_ms"] == b"%d" % began_ms
    assert (held[b"until_ms"], held[b"reason"]) == (b"%d" % replies.clock(), b"instance disconnected")
    await replies.send(batch)
    assert await replies.driver.redis.exists(name) == 0


async def test_refused(replies: ReplyDriver):
    """A refused part makes a dead letter with the answer and the parts that are left; what follows is not held up."""
    batch = await replies.answered(*TEXTS)
    await replies.driver.append("m2", keyword=True)
    await replies.send(batch)
    await replies.begin(batch, 2)
    assert await replies.end(batch, 2, "refused", reason="the number has no WhatsApp") == "dead"
    [letter] = (await replies.store.dead_letters(0)).page
    assert (letter.flush_id, letter.error, letter.messages) == (batch.flush_id, "the number has no WhatsApp", 1)
    assert await replies.counters("parts_sent", "parts_refused") == {"parts_sent": 1, "parts_refused": 1}
    assert ids(await replies.driver.claim_batch(caller="w2")) == ["m2"]


@pytest.mark.parametrize(("end", "doubts"), [("sent", 0), ("in_doubt", 1), ("later", 0), ("refused", 0)])
async def test_end_of_a_cancelled_batch(replies: ReplyDriver, end: PartEnd, doubts: int):
    """The end of a part that was on its way at a takeover is noted, and no other part follows."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    await replies.store.pause(ANA, 60_000, PauseMode.TAKEOVER)
    for _ in range(2):
        assert await replies.end(batch, end=end) == "cancelled"
    assert (await replies.begin(batch, 2)).mark == "cancelled"
    assert len(await replies.doubts()) == doubts
    await replies.store.release(replies.driver.ref(), batch.token)
    [entry, *_] = await replies.driver.history()
    left = 1 if end in ("sent", "in_doubt") else 0
    assert (entry["outcome"], entry["cause"], entry["next_part"], entry["parts"]) == (
        "discarded",
        "takeover",
        1 + left,
        3,
    )


async def test_zombie_brings_evidence(replies: ReplyDriver):
    """A worker that has lost its lease changes nothing, but the part that it has sent is no longer in doubt."""
    batch = await replies.answered("olá", "tudo bem?")
    await replies.begin(batch)
    replies.clock.advance(LEASE_MS)
    after = await replies.driver.claim_batch(caller="w2")
    assert (after.next_part, after.doubted_part) == (2, 1)
    assert len(await replies.doubts()) == 1
    assert await replies.end(batch, message_id="id1") == "lost"
    assert await replies.doubts() == []
    assert await replies.counters("parts_sent", "doubts_resolved") == {"parts_sent": 1, "doubts_resolved": 1}
    assert await replies.own("id1", human_pause_ms=60_000) == "ours"


@pytest.mark.parametrize("end", ["in_doubt", "later", "limited", "misconfigured", "refused"])
async def test_echo_is_better_evidence(replies: ReplyDriver, end: PartEnd):
    """A part whose echo has come was sent, whatever became of its request."""
    batch = await replies.answered("olá", "tudo bem?")
    await replies.begin(batch)
    assert await replies.own("id1", "olá") == "ours"
    assert await replies.end(batch, end=end, delay_ms=0) == "ok"
    assert (await replies.begin(batch, 2)).mark == "send"
    assert await replies.doubts() == []
