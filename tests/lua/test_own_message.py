"""own_message: our own parts are recognised, and a human's word takes the conversation over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ids
from tests.lua.reply_driver import TEXTS, ReplyDriver

HUMAN: dict[str, Any] = {"human_pause_ms": 60_000}
HOUR_MS = 3_600_000


async def test_echo_by_the_id_of_the_gateway(replies: ReplyDriver):
    """A part that comes back with the id of the gateway's answer is ours, for ever so often."""
    batch = await replies.answered(*TEXTS)
    await replies.send(batch, message_id="id1")
    for _ in range(3):
        assert await replies.own("id1", **HUMAN) == "ours"
    assert "paused_until_ms" not in await replies.driver.conv()


async def test_echo_before_the_answer_by_our_own_id(replies: ReplyDriver):
    """An echo that overtakes the gateway's answer is recognised by the id that we gave the part."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch, own_id="own1")
    assert await replies.own("id1", own_id="own1", **HUMAN) == "ours"
    assert (await replies.driver.conv())["sending_seen"] == "1"


@pytest.mark.parametrize("text", ["olá", "  olá\r\n"])
async def test_echo_before_the_answer_by_its_text(replies: ReplyDriver, text: str):
    """An echo without an id of ours is recognised by its text, and its repetition by its id."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    for _ in range(2):
        assert await replies.own("id1", text, **HUMAN) == "ours"
    assert await replies.own("id2", text, **HUMAN) == "human"


async def test_echo_instead_of_the_answer(replies: ReplyDriver):
    """The part of a worker that died is sent if its echo came before, and does not stay in doubt."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    await replies.own("id1", "olá", **HUMAN)
    replies.clock.advance(LEASE_MS)
    again = await replies.driver.claim_batch(caller="w2")
    assert (again.next_part, again.doubted_part, await replies.doubts()) == (2, 0, [])
    assert await replies.own("id1", "olá", **HUMAN) == "ours"


@pytest.mark.parametrize("by", ["own id", "text"])
async def test_echo_resolves_a_doubt(replies: ReplyDriver, by: str):
    """A part in doubt is sent as soon as its echo comes, and only once."""
    batch = await replies.answered("olá")
    await replies.begin(batch, own_id="own1")
    await replies.end(batch, end="in_doubt")
    await replies.store.ack(replies.driver.ref(), batch.token)
    fields: dict[str, Any] = {"own_id": "own1"} if by == "own id" else {"text": "olá"}
    for _ in range(2):
        assert await replies.own("id1", **fields, **HUMAN) == "ours"
    assert (await replies.doubts(), "doubts" in await replies.driver.conv()) == ([], False)
    assert await replies.counters("doubts_resolved", "parts_sent") == {"doubts_resolved": 1, "parts_sent": 1}


async def test_text_of_long_ago(replies: ReplyDriver):
    """A message with the text of a part that is in doubt for more than an hour is no echo of it."""
    await replies.doubt("olá")
    replies.clock.advance(HOUR_MS + 1)
    assert await replies.own("id1", "olá", **HUMAN) == "human"
    assert len(await replies.doubts()) == 1


async def test_media_without_text(replies: ReplyDriver):
    """A part without a text is not recognised by one."""
    batch = await replies.answered("")
    await replies.begin(batch)
    assert await replies.own("id1", "") == "foreign"
    assert await replies.own("id1", "  ", **HUMAN) == "human"


async def test_part_without_an_id(replies: ReplyDriver):
    """A part to which the gateway gave no id is recognised once by its text."""
    batch = await replies.answered("olá")
    await replies.begin(batch)
    assert await replies.end(batch, message_id=None) == "ok"
    assert [await replies.own(f"id{n}", "olá", **HUMAN) for n in (1, 1, 2)] == ["ours", "ours", "human"]


async def test_echo_of_a_part_that_was_put_back(replies: ReplyDriver):
    """An echo of a part that we took for not sent is better evidence: it is not sent again."""
    batch = await replies.answered("olá", "tudo bem?")
    await replies.begin(batch, own_id="own1")
    assert await replies.end(batch, end="later", delay_ms=1_000) == "later"
    assert await replies.own("id1", own_id="own1", **HUMAN) == "ours"
    replies.clock.advance(1_000)
    assert (await replies.driver.claim_batch(caller="w2")).next_part == 2


async def test_text_in_another_conversation(replies: ReplyDriver):
    """A text counts in its own conversation only."""
    from tests.lua.driver import BIA

    batch = await replies.answered("olá")
    await replies.begin(batch)
    assert await replies.own("id1", "olá", to=BIA, **HUMAN) == "human"


async def test_human_while_collecting(replies: ReplyDriver):
    """A human's word discards the open burst with a record, and pauses the conversation."""
    await replies.driver.append("m1", "m2")
    assert await replies.own(text="eu respondo", **HUMAN) == "human"
    [entry] = await replies.driver.history()
    assert (entry["outcome"], entry["cause"], entry["messages"]) == ("discarded", "takeover", 2)
    assert await replies.driver.wake_ms() == replies.clock() + 60_000
    assert await replies.counters("takeovers") == {"takeovers": 1}
    [appended] = await replies.driver.append("m3")
    assert appended.status == "discarded"


async def test_human_before_the_person(replies: ReplyDriver):
    """A human may write to somebody who has never written: the conversation is known and paused."""
    assert await replies.own(text="bom dia", **HUMAN) == "human"
    conv = await replies.driver.conv()
    assert (conv["peer"], conv["pause_mode"]) == ("ana", "takeover")


async def test_human_while_the_agent_thinks(replies: ReplyDriver):
    """A human's word cancels the batch in flight: its answer is not stored."""
    batch = await replies.driver.in_flight("m1")
    await replies.own(text="eu respondo", **HUMAN)
    assert await replies.answer(batch, *TEXTS) == "cancelled"


async def test_human_between_two_parts(replies: ReplyDriver):
    """Between two parts that wait in the wake index a human's word discards the rest, with a record."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    await replies.end(batch, message_id="id1", delay_ms=4_000)
    await replies.own(text="eu respondo", **HUMAN)
    [entry] = await replies.driver.history()
    assert (entry["outcome"], entry["next_part"], entry["parts"]) == ("discarded", 2, 3)
    replies.clock.advance(60_000)
    assert (await replies.driver.claim(caller="w2")).status == "empty"


async def test_human_while_a_part_is_on_its_way(replies: ReplyDriver):
    """The part that is on its way of a worker that died is in doubt, and the rest is discarded."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch)
    replies.clock.advance(LEASE_MS)
    await replies.own(text="eu respondo", **HUMAN)
    assert [doubt.doubt_id for doubt in await replies.doubts()] == [f"{batch.flush_id}.1"]
    assert "flush_id" not in await replies.driver.conv()
    assert await replies.own("id1", "olá", **HUMAN) == "ours"
    assert await replies.doubts() == []


async def test_keyword_resumes(replies: ReplyDriver):
    """A keyword gives the conversation back: what an operator held is delivered, what a takeover discarded is not."""
    await replies.own(text="eu respondo", **HUMAN)
    await replies.driver.append("m1")
    assert await replies.own("id2", "#bot", action="resume") == "resumed"
    await replies.driver.append("m2")
    replies.clock.advance(WINDOW_MS)
    assert ids(await replies.driver.claim_batch()) == ["m2"]


async def test_keyword_takes(replies: ReplyDriver):
    """A keyword takes the conversation without a word to the person."""
    await replies.driver.append("m1")
    assert await replies.own(text="#humano", action="take", pause_ms=5_000) == "taken"
    assert (await replies.driver.conv())["paused_until_ms"] == str(replies.clock() + 5_000)
    assert await replies.driver.depth() == 0


async def test_foreign(replies: ReplyDriver):
    """A message of another program changes nothing."""
    await replies.driver.append("m1")
    before = await replies.driver.conv()
    assert await replies.own("id1", "oferta") == "foreign"
    assert await replies.driver.conv() == before


async def test_one_that_is_ours_is_no_keyword(replies: ReplyDriver):
    """A part of ours with the text of a keyword is a part."""
    batch = await replies.answered("#bot")
    await replies.begin(batch)
    assert await replies.own("id1", "#bot", action="resume") == "ours"


async def test_takeover_again_prolongs(replies: ReplyDriver):
    """Each word of the human counts anew."""
    await replies.own("id1", "um", **HUMAN)
    replies.clock.advance(30_000)
    await replies.own("id2", "dois", **HUMAN)
    assert (await replies.driver.conv())["paused_until_ms"] == str(replies.clock() + 60_000)
    assert await replies.driver.wake_ms() is not None
    assert await replies.store.resume(ANA)
