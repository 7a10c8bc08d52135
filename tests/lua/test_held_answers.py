"""begin_part and presence: the first part of an answer waits for a person who types meanwhile."""

from __future__ import annotations

import pytest

from buffer.reply_models import SendLimits
from config.burst_settings import BurstSettings
from tests.lua.driver import ANA, LEASE_MS, ScriptDriver
from tests.lua.reply_driver import TEXTS, ReplyDriver

HOLD_MS, GRACE_MS = 12_000, 1_500
HOLD = SendLimits(typing_hold_ms=HOLD_MS)


@pytest.fixture(autouse=True)
def _typing_holds_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BurstSettings, "typing_holds_answers", True)


async def test_typing_during_the_call_delays_the_first_part(replies: ReplyDriver):
    """The lease is given back until the hold is over. Then the part may leave, whoever types."""
    batch = await replies.driver.in_flight("m1")
    typed_ms = replies.clock.advance(2_000)
    assert await replies.store.presence(ANA, "typing") == 0
    replies.clock.advance(1_000)
    await replies.answer(batch, *TEXTS)
    for _ in range(2):
        assert await replies.begin(batch, limits=HOLD) == ("wait", typed_ms + HOLD_MS)
    assert await replies.driver.wake_ms() == typed_ms + HOLD_MS
    assert (await replies.driver.claim()).status == "busy"
    replies.clock.advance(HOLD_MS - 1_000)
    again = await replies.driver.claim_batch()
    await replies.store.presence(ANA, "typing")
    assert (await replies.begin(again, limits=HOLD)).mark == "send"


async def test_typing_while_the_answer_waits(replies: ReplyDriver):
    """A signal that comes after the answer, but before its first part, counts too."""
    batch = await replies.answered(*TEXTS)
    await replies.store.presence(ANA, "typing")
    assert (await replies.begin(batch, limits=HOLD)).mark == "wait"


async def test_other_routes_do_not_wait(replies: ReplyDriver):
    """A route whose answers are not taken back sends at once."""
    batch = await replies.answered(*TEXTS)
    await replies.store.presence(ANA, "typing")
    assert (await replies.begin(batch)).mark == "send"


async def test_only_the_first_part_waits(replies: ReplyDriver):
    """Once an answer has begun to leave, the rest follows."""
    batch = await replies.answered(*TEXTS)
    await replies.send(batch)
    await replies.store.presence(ANA, "typing")
    assert (await replies.begin(batch, 2, limits=HOLD)).mark == "send"


async def test_typing_during_the_request_changes_nothing(replies: ReplyDriver):
    """A part that is on its way is not waited for again."""
    batch = await replies.answered(*TEXTS)
    assert (await replies.begin(batch, limits=HOLD)).mark == "send"
    before = await replies.driver.conv()
    assert await replies.store.presence(ANA, "typing") == 0
    assert await replies.driver.conv() == before


async def test_stopped_before_the_first_part(replies: ReplyDriver):
    """A person who stops has the grace; when that is over, nobody waits."""
    batch = await replies.answered(*TEXTS)
    await replies.store.presence(ANA, "typing")
    stopped_ms = replies.clock.advance(1_000)
    await replies.store.presence(ANA, "stopped")
    assert await replies.begin(batch, limits=HOLD) == ("wait", stopped_ms + GRACE_MS)


async def test_stopped_long_before_the_first_part(replies: ReplyDriver):
    """A person who stopped typing during the call delays nothing."""
    batch = await replies.driver.in_flight("m1")
    await replies.store.presence(ANA, "typing")
    await replies.store.presence(ANA, "stopped")
    replies.clock.advance(GRACE_MS)
    await replies.answer(batch, *TEXTS)
    assert (await replies.begin(batch, limits=HOLD)).mark == "send"


async def test_stopped_without_typing_delays_nothing(replies: ReplyDriver):
    """WhatsApp says `paused` after each message: that is no typing."""
    batch = await replies.answered(*TEXTS)
    await replies.store.presence(ANA, "stopped")
    assert (await replies.begin(batch, limits=HOLD)).mark == "send"


async def test_stopped_while_the_part_waits(replies: ReplyDriver):
    """A person who stops while the part waits is answered after the grace, and the dispatchers hear of it."""
    batch = await replies.answered(*TEXTS)
    await replies.store.presence(ANA, "typing")
    await replies.begin(batch, limits=HOLD)
    stopped_ms = replies.clock.advance(3_000)
    async with replies.driver.redis.pubsub() as listener:
        await listener.subscribe(replies.driver.partition_key("wake"))
        assert (await listener.get_message(timeout=30))["type"] == "subscribe"
        await replies.store.presence(ANA, "stopped")
        assert (await listener.get_message(timeout=30))["type"] == "message"
    assert await replies.driver.wake_ms() == stopped_ms + GRACE_MS
    replies.clock.advance(1_000)
    await replies.store.presence(ANA, "stopped")
    assert await replies.driver.wake_ms() == stopped_ms + GRACE_MS
    replies.clock.advance(GRACE_MS - 1_000)
    again = await replies.driver.claim_batch()
    assert (await replies.begin(again, limits=HOLD)).mark == "send"


async def test_stopped_does_not_wake_a_batch_that_waits_for_something_else(replies: ReplyDriver):
    """A part that a limit holds back waits for the limit."""
    batch = await replies.answered(*TEXTS)
    await replies.store.presence(ANA, "typing")
    limits = SendLimits(person_interval_ms=60_000)
    await replies.driver.redis.hset(replies.driver.key("conv"), "person_tat_ms", replies.clock() + 60_000)
    assert (await replies.begin(batch, limits=limits)).mark == "wait"
    wake_ms = await replies.driver.wake_ms()
    await replies.store.presence(ANA, "stopped")
    assert await replies.driver.wake_ms() == wake_ms


async def test_the_wait_ends_with_the_batch(replies: ReplyDriver):
    """The next answer of the person may wait again, and nothing of the first is left."""
    for number, said in enumerate(("m1", "m2")):
        batch = await replies.answered("oi", said=said)
        await replies.store.presence(ANA, "typing")
        assert (await replies.begin(batch, limits=HOLD)).mark == "wait"
        replies.clock.advance(HOLD_MS)
        again = await replies.driver.claim_batch()
        await replies.send(again, message_id=f"id{number}")
        await replies.store.ack(replies.driver.ref(), again.token)
    conv = await replies.driver.conv()
    assert not {"typing_until_ms", "typing_waited"} & conv.keys()


async def test_garbage_waits_for_one_hold(replies: ReplyDriver):
    """A moment that no script writes delays the part by one hold at most."""
    batch = await replies.answered(*TEXTS)
    await replies.driver.redis.hset(replies.driver.key("conv"), "typing_until_ms", replies.clock() + 10**9)
    assert await replies.begin(batch, limits=HOLD) == ("wait", replies.clock() + HOLD_MS)


async def test_a_lost_lease_is_told_first(replies: ReplyDriver):
    """A worker whose lease is over is told that, and the wait begins with the next one."""
    batch = await replies.answered(*TEXTS)
    replies.clock.advance(LEASE_MS)
    await replies.store.presence(ANA, "typing")
    assert (await replies.begin(batch, limits=HOLD)).mark == "lost"
    again = await replies.driver.claim_batch(caller="w2")
    assert (await replies.begin(again, limits=HOLD)).mark == "wait"


async def test_behind_the_batch_a_burst_is_held_too(driver: ScriptDriver):
    """One signal holds the open burst and the answer."""
    await driver.in_flight("m1")
    await driver.append("m2")
    moved_ms = await driver.store.presence(ANA, "typing")
    conv = await driver.conv()
    assert moved_ms == driver.clock() + HOLD_MS == int(conv["typing_until_ms"]) == int(conv["deadline_ms"])
