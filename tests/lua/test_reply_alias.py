"""The parts of answers of a person who is known by several ids."""

from __future__ import annotations

import pytest

from buffer.models import Batch, Conversation
from tests.lua.aliases import LID, PHONE, home, link
from tests.lua.driver import LEASE_MS, ScriptDriver
from tests.lua.reply_driver import ReplyDriver

HUMAN = {"human_pause_ms": 60_000}


async def left_behind(replies: ReplyDriver) -> tuple[Batch, Conversation, Conversation]:
    """Answer a burst in flight whose id becomes an alias. Return its batch, its id, and the id that is kept."""
    await replies.driver.in_flight("busy", to=PHONE)
    batch = await replies.answered("olá", "tudo bem?", to=LID)
    assert await link(replies.driver, "m9", PHONE, LID) == "new"
    kept = await home(replies.driver)
    assert kept == PHONE
    return batch, LID, kept


async def doubt_then_merge(replies: ReplyDriver) -> str:
    """Make a part in doubt, and its conversation an alias. Return the part."""
    await replies.driver.append("first", to=PHONE)
    doubt_id = await replies.doubt("olá", to=LID)
    await link(replies.driver, "m9", PHONE, LID)
    assert await home(replies.driver) == PHONE
    return doubt_id


@pytest.mark.parametrize("to", [PHONE, LID], ids=["phone", "lid"])
async def test_doubt_of_an_alias(replies: ReplyDriver, to: Conversation):
    """An echo under either id resolves a part that was in doubt before the ids were known to be one person."""
    await doubt_then_merge(replies)
    assert await replies.own("id1", "olá", to=to, **HUMAN) == "ours"
    assert await replies.doubts() == []
    assert "doubts" not in await replies.driver.conv(PHONE)


@pytest.mark.parametrize("to", [PHONE, LID], ids=["phone", "lid"])
async def test_echo_to_a_batch_left_behind(replies: ReplyDriver, to: Conversation):
    """An echo under either id finds the part under way of a batch that has stayed under its old id."""
    batch, old, _ = await left_behind(replies)
    assert (await replies.begin(batch, to=old)).mark == "send"
    assert await replies.own("id1", "olá", to=to, **HUMAN) == "ours"
    assert await replies.end(batch, end="in_doubt", to=old) == "ok"
    assert await replies.doubts() == []


@pytest.mark.parametrize("to", [PHONE, LID], ids=["phone", "lid"])
async def test_takeover_of_a_batch_left_behind(replies: ReplyDriver, to: Conversation):
    """A human's word under either id ends a batch that has stayed under its old id."""
    batch, old, _ = await left_behind(replies)
    assert await replies.own("id1", "eu respondo", to=to, **HUMAN) == "human"
    assert (await replies.begin(batch, to=old)).mark == "cancelled"


async def test_doubt_of_a_batch_left_behind(replies: ReplyDriver):
    """A part in doubt of a batch under its old id is resolved under the other one."""
    batch, old, kept = await left_behind(replies)
    await replies.begin(batch, to=old)
    assert await replies.end(batch, end="in_doubt", to=old) == "ok"
    assert await replies.own("id1", "olá", to=kept, **HUMAN) == "ours"
    assert await replies.doubts() == []
    assert "doubts" not in await replies.driver.conv(old)


async def test_sent_again_to_the_kept_conversation(replies: ReplyDriver):
    """A part in doubt of an id that has become an alias is sent again in the conversation that is kept."""
    doubt_id = await doubt_then_merge(replies)
    assert await replies.replies.settle_doubt(doubt_id, "send") == "ok"
    batch = await replies.driver.claim_batch(PHONE, caller="w2")
    assert (batch.flush_id, batch.conversation) == (doubt_id, LID)


async def test_hand_over_of_a_batch_left_behind(replies: ReplyDriver):
    """The agent's hand-over pauses the person, also if the batch has stayed under its old id."""
    batch, old, kept = await left_behind(replies)
    assert await replies.store.ack(replies.driver.ref(old), batch.token, pause_ms=60_000) == "ok"
    assert (await replies.driver.conv(kept))["pause_mode"] == "takeover"
    assert await replies.driver.depth(kept) == 0


async def test_dead_worker_of_a_batch_left_behind(driver: ScriptDriver, replies: ReplyDriver):
    """A batch left behind whose worker died is claimed under its old id, and its part is in doubt there."""
    batch, old, _ = await left_behind(replies)
    await replies.begin(batch, to=old)
    replies.clock.advance(LEASE_MS)
    claim = await driver.claim(old, "w2")
    assert claim.status in ("batch", "busy")
    assert [doubt.conversation for doubt in await replies.doubts()] == [LID]
