"""part_status: what a gateway says later of a part finds its part."""

from __future__ import annotations

import pytest

from buffer.models import Conversation
from buffer.reply_models import Status
from tests.lua.driver import LEASE_MS
from tests.lua.reply_driver import TEXTS, ReplyDriver


async def test_unknown_id(replies: ReplyDriver):
    """A status of another program's message is of no part."""
    assert await replies.status("failed", "somebody") is None
    assert await replies.status("sent") is None
    assert await replies.driver.history() == []


async def test_id_of_another_channel(replies: ReplyDriver):
    """An id counts in its channel only."""
    batch = await replies.answered("olá")
    await replies.send(batch, message_id="id1")
    assert await replies.replies.part_status("generic", "filial", Status("sent", "id1")) is None
    assert await replies.status("sent", "id1") == f"{batch.flush_id}.1"


@pytest.mark.parametrize("ids", [{"message_id": None, "own_id": "own1"}, {"message_id": "own1"}])
async def test_sent_resolves_a_doubt(replies: ReplyDriver, ids: dict[str, str | None]):
    """A part in doubt is sent when a status says so, by our own id or mark."""
    batch = await replies.answered("olá")
    await replies.begin(batch, own_id="own1")
    await replies.end(batch, end="in_doubt")
    for _ in range(2):
        assert await replies.status("sent", **ids) == f"{batch.flush_id}.1"
    assert await replies.doubts() == []
    assert await replies.counters("doubts_resolved", "parts_sent") == {"doubts_resolved": 1, "parts_sent": 1}


async def test_sent_before_the_answer(replies: ReplyDriver):
    """A status that overtakes the gateway's answer counts, also if the worker dies."""
    batch = await replies.answered("olá", "tudo bem?")
    await replies.begin(batch, own_id="own1")
    assert await replies.status("sent", own_id="own1") == f"{batch.flush_id}.1"
    replies.clock.advance(LEASE_MS)
    assert (await replies.driver.claim_batch(caller="w2")).next_part == 2
    assert await replies.doubts() == []


async def test_failed_after_sent(replies: ReplyDriver):
    """A part that counts as sent and fails is recorded once, and not sent again by itself."""
    batch = await replies.answered(*TEXTS)
    await replies.send(batch, message_id="id1")
    assert await replies.status("failed", "id1", reason="131047: the window is over") == f"{batch.flush_id}.1"
    assert await replies.status("failed", "id1", reason="131047: the window is over") is None
    [entry] = await replies.driver.history()
    assert (entry["outcome"], entry["part"]) == ("failed_after_sent", f"{batch.flush_id}.1")
    assert entry["error"] == "131047: the window is over"
    assert await replies.counters("failed_after_sent", "dead") == {"failed_after_sent": 1}
    assert (await replies.begin(batch, 2)).mark == "send"


async def test_failed_part_in_doubt(replies: ReplyDriver):
    """A part in doubt that failed is a dead letter of that part alone, and can be sent again."""
    batch = await replies.answered(*TEXTS)
    await replies.begin(batch, own_id="own1")
    await replies.end(batch, end="in_doubt")
    assert await replies.status("failed", own_id="own1", reason="no WhatsApp") == f"{batch.flush_id}.1"
    assert await replies.doubts() == []
    [letter] = (await replies.store.dead_letters(0)).page
    assert (letter.flush_id, letter.error, letter.messages) == (f"{batch.flush_id}.1", "no WhatsApp", 0)
    assert letter.conversation == Conversation("generic", "loja", "ana")
    assert await replies.counters("parts_refused", "failed_after_sent") == {"parts_refused": 1}
