"""append: messages go into the open burst of their conversation."""

from __future__ import annotations

import asyncio

import pytest

from buffer.models import Claim, Conversation, PauseMode
from buffer.stored_message import ENTRY_HEADER_SIZE
from tests.lua.driver import ANA, BIA, MAX_WAIT_MS, VISIBILITY_MS, WINDOW_MS, ScriptDriver, ids
from tests.messages import message


async def test_first_message_opens_a_window(driver: ScriptDriver):
    """The deadline of a first message is one window from now: in the reply, the wake index and the timer key."""
    now_ms = driver.clock()
    [appended] = await driver.append("m1")
    assert appended == ("new", now_ms + WINDOW_MS, 1)
    assert await driver.wake_ms() == now_ms + WINDOW_MS
    assert 0 < await driver.redis.pttl(driver.key("timer")) <= WINDOW_MS


async def test_identity_is_stored_once(driver: ScriptDriver):
    """The conv hash holds the identity, and the stored message does not repeat it."""
    await driver.append("m1", name="Ana")
    conv = await driver.conv()
    assert (conv["gateway"], conv["channel"], conv["peer"], conv["name"]) == (*ANA, "Ana")
    assert conv["ref"] == str(driver.ref())
    [entry] = await driver.redis.lrange(driver.key("buffer"), 0, -1)
    assert b"loja" not in entry


async def test_latest_name_wins_and_none_keeps_it(driver: ScriptDriver):
    """A message without a sender name keeps the known name, and a new name replaces it."""
    await driver.append("m1", name="Ana")
    await driver.append("m2")
    assert (await driver.conv())["name"] == "Ana"
    await driver.append("m3", name="Ana Maria")
    assert (await driver.conv())["name"] == "Ana Maria"


async def test_next_message_moves_the_deadline(driver: ScriptDriver):
    """A second message within the window starts the quiet time again, in the index and in the timer."""
    await driver.append("m1")
    now_ms = driver.clock.advance(5_000)
    [appended] = await driver.append("m2")
    assert appended == ("new", now_ms + WINDOW_MS, 2)
    assert await driver.wake_ms() == now_ms + WINDOW_MS
    assert await driver.redis.pttl(driver.key("timer")) > WINDOW_MS - 5_000


async def test_timer_is_refreshed_by_every_append(driver: ScriptDriver):
    """The timer key gets the whole time to the deadline again, even if it was about to expire."""
    await driver.append("m1")
    await driver.redis.pexpire(driver.key("timer"), 500)
    await driver.append("m2")
    assert await driver.redis.pttl(driver.key("timer")) > 500


async def test_longest_wait_bounds_the_deadline(driver: ScriptDriver):
    """A person who never pauses gets an answer the longest wait after the first message."""
    opened_ms = driver.clock()
    for i in range(12):
        [appended] = await driver.append(f"m{i}")
        assert appended.deadline_ms == min(driver.clock() + WINDOW_MS, opened_ms + MAX_WAIT_MS)
        driver.clock.advance(5_000)
    assert appended.deadline_ms == opened_ms + MAX_WAIT_MS
    assert (await driver.claim_batch()).reason == "max_wait"


async def test_duplicate_changes_nothing(driver: ScriptDriver):
    """The same id in another request stores no second copy and moves neither deadline nor wake entry."""
    [first] = await driver.append("m1")
    timer_ms = await driver.redis.pttl(driver.key("timer"))
    driver.clock.advance(3_000)
    [again] = await driver.append("m1")
    assert again == ("duplicate", first.deadline_ms, 1)
    assert await driver.wake_ms() == first.deadline_ms
    assert await driver.redis.pttl(driver.key("timer")) <= timer_ms
    assert await driver.depth() == 1
    assert (await driver.counters())["messages_duplicate"] == 1


async def test_resent_request_answers_as_the_first_time(driver: ScriptDriver):
    """The same request again (its reply was lost) returns `new`, and nothing is stored or counted twice."""
    request = message("m1", ANA, nonce=b"aaaa")
    first = await driver.store.append([request])
    driver.clock.advance(3_000)
    assert await driver.store.append([request]) == first
    assert await driver.depth() == 1
    assert (await driver.counters())["messages_accepted"] == 1
    assert (await driver.counters())["messages_duplicate"] == 0


async def test_equal_texts_are_two_messages(driver: ScriptDriver):
    """ "ok", "ok" with two ids are two messages: texts are never compared."""
    await driver.append("m1", "m2", text="ok")
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == ["m1", "m2"]


async def test_id_is_remembered_after_delivery(driver: ScriptDriver):
    """A duplicate that comes after its batch was delivered opens no window."""
    batch = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), batch.token)
    [late] = await driver.append("m1")
    assert late.status == "duplicate"
    assert await driver.wake_ms() is None


async def test_same_id_in_another_conversation_is_new(driver: ScriptDriver):
    """Each conversation has a seen set of its own."""
    await driver.append("m1", to=ANA)
    [other] = await driver.append("m1", to=BIA)
    assert other.status == "new"


async def test_crowded_conversation(open_driver):
    """Beyond MESSAGE_BUFFER_MAX_PENDING a message is not taken, nobody else is refused, and room makes it welcome."""
    driver = open_driver(message_buffer_max_pending=3, message_buffer_max_messages=2)
    statuses = [one.status for one in await driver.append("m1", "m2", "m3", "m4", "m1")]
    assert statuses == ["new", "new", "new", "full", "duplicate"]
    assert (await driver.append("m1", to=BIA))[0].status == "new"
    assert (await driver.counters())["messages_full"] == 1
    batch = await driver.claim_batch()
    assert (await driver.append("m4"))[0] == ("new", driver.clock(), 2)
    await driver.store.ack(driver.ref(), batch.token)
    assert ids(await driver.claim_batch(caller="w2")) == ["m3", "m4"]


async def test_id_is_forgotten_after_dedupe_ttl(open_driver):
    """An id counts as seen to the end of DEDUPE_TTL, then it is new again and its old record is dropped."""
    driver = open_driver(dedupe_ttl=100)
    await driver.append("m1")
    driver.clock.advance(100_000)
    assert [a.status for a in await driver.append("m1")] == ["duplicate"]
    driver.clock.advance(1)
    assert [a.status for a in await driver.append("m1")] == ["new"]
    assert await driver.redis.strlen(driver.key("seen")) == 16


async def test_fingerprint_across_two_records_is_no_duplicate(driver: ScriptDriver):
    """A fingerprint that occurs across two records of the seen set does not count as seen."""
    await driver.append("m1", "m2", nonce=b"\x00\x00\x00\x00")
    memory = await driver.redis.get(driver.key("seen"))
    crossing = message("m3", ANA)._replace(fingerprint=memory[10:18])
    [appended] = await driver.store.append([crossing])
    assert appended.status == "new"


@pytest.mark.parametrize("state", ["open", "in_flight", "waiting", "redrive"])
async def test_duplicate_puts_a_lost_wake_entry_back(driver: ScriptDriver, state: str):
    """A duplicate repairs a lost wake entry in every state of the conversation."""
    if state == "open":
        await driver.append("m1")
    elif state == "redrive":
        await driver.store.redrive((await driver.make_dead_letter("m1")).flush_id)
    else:
        batch = await driver.in_flight("m1")
        if state == "waiting":
            await driver.fail(batch.token, "retry", delay_ms=5_000)
    await driver.delete_wake_entry()
    [appended] = await driver.append("m1")
    assert appended.status == "duplicate"
    assert await driver.wake_ms() is not None


async def test_duplicate_of_a_held_conversation(driver: ScriptDriver):
    """While a pause holds a burst, a duplicate puts the lost entry back at the end of the pause."""
    await driver.append("m1")
    until_ms = await driver.store.pause(ANA, 1_000)
    await driver.delete_wake_entry()
    await driver.append("m1")
    assert await driver.store.flush_now(ANA) == 1
    assert await driver.wake_ms() == until_ms


async def test_message_cap_fires_at_once(open_driver):
    """The message that reaches the cap closes the burst now."""
    driver = open_driver(message_buffer_max_messages=3)
    [first, second, third] = await driver.append("m1", "m2", "m3")
    now_ms = driver.clock()
    assert [first.deadline_ms, second.deadline_ms, third.deadline_ms] == [now_ms + WINDOW_MS] * 2 + [now_ms]
    batch = await driver.claim_batch()
    assert (batch.reason, ids(batch)) == ("max_messages", ["m1", "m2", "m3"])


async def test_byte_cap_fires_at_once(open_driver):
    """The message that reaches the byte cap closes the burst now. Exactly the cap is enough."""
    driver = open_driver(message_buffer_max_bytes=100)
    await driver.append("m1", payload=b'{"message_id":"m1"}'.ljust(60))
    [second] = await driver.append("m2", payload=b'{"message_id":"m2"}'.ljust(40))
    assert second.deadline_ms == driver.clock()
    batch = await driver.claim_batch()
    assert (batch.reason, ids(batch)) == ("max_bytes", ["m1", "m2"])


async def test_one_message_above_the_byte_cap_is_its_own_batch(open_driver):
    """A single message larger than the cap is accepted and delivered alone."""
    driver = open_driver(message_buffer_max_bytes=10)
    await driver.append("m1")
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_keyword_fires_at_once(driver: ScriptDriver):
    """A flush keyword closes the burst now, with all messages before it."""
    await driver.append("m1")
    [appended] = await driver.append("m2", keyword=True)
    assert appended.deadline_ms == driver.clock()
    batch = await driver.claim_batch()
    assert (batch.reason, ids(batch)) == ("keyword", ["m1", "m2"])


async def test_fired_deadline_never_moves(driver: ScriptDriver):
    """After a keyword later messages join, but neither the deadline nor its reason changes."""
    [fired] = await driver.append("m1", keyword=True)
    driver.clock.advance(1_000)
    [later] = await driver.append("m2")
    assert later == ("new", fired.deadline_ms, 2)
    batch = await driver.claim_batch()
    assert (batch.reason, ids(batch)) == ("keyword", ["m1", "m2"])


async def test_fired_and_dispatched_is_not_dispatched_again(driver: ScriptDriver):
    """A message behind a fired deadline does not move the wake entry of the dispatched conversation."""
    await driver.append("m1", keyword=True)
    assert await driver.dispatch() == [driver.ref()]
    await driver.append("m2")
    assert await driver.wake_ms() == driver.clock() + VISIBILITY_MS
    assert await driver.dispatch() == []


async def test_message_between_dispatch_and_claim_joins_the_burst(driver: ScriptDriver):
    """The claim checks the deadline again: a message after the dispatch makes the burst wait."""
    await driver.append("m1")
    driver.clock.advance(WINDOW_MS)
    await driver.dispatch()
    now_ms = driver.clock.advance(500)
    await driver.append("m2")
    assert await driver.claim() == Claim("early", None, now_ms + WINDOW_MS)
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == ["m1", "m2"]


async def test_disabled_buffer_flushes_every_message_alone(open_driver):
    """With the buffer disabled each message is due at once and is a batch of its own, in order."""
    driver = open_driver(message_buffer_enabled=False)
    appended = await driver.append("m1", "m2")
    assert [a.deadline_ms for a in appended] == [driver.clock()] * 2
    for expected in ("m1", "m2"):
        batch = await driver.claim_batch()
        assert (batch.reason, ids(batch)) == ("disabled", [expected])
        await driver.store.ack(driver.ref(), batch.token)


async def test_message_behind_a_batch_in_flight_waits(driver: ScriptDriver):
    """While a batch is in flight new messages do not move the lease's wake entry. The ack sets theirs."""
    batch = await driver.in_flight("m1")
    lease_ms = await driver.wake_ms()
    driver.clock.advance(1_000)
    [behind] = await driver.append("m2")
    assert (behind.status, behind.deadline_ms) == ("new", driver.clock() + WINDOW_MS)
    assert await driver.wake_ms() == lease_ms
    assert ids(await driver.claim_batch(caller="w1")) == ["m1"]
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.wake_ms() == behind.deadline_ms


async def test_many_conversations_in_one_call(driver: ScriptDriver):
    """One call for 300 messages of 100 conversations returns results in the order of the messages."""
    people = [Conversation("generic", "loja", f"p{i}") for i in range(100)]
    appended = await driver.store.append([message(f"m{n}", who) for n in range(3) for who in people])
    assert [a.depth for a in appended] == [1] * 100 + [2] * 100 + [3] * 100
    assert (await driver.store.snapshot(0))["pending"] == 100
    driver.clock.advance(WINDOW_MS)
    for who in people:
        assert ids(await driver.claim_batch(who)) == ["m0", "m1", "m2"]


async def test_partitions_are_apart(open_driver):
    """One append serves channels in several partitions and returns results in the order of the messages."""
    driver = open_driver(redis_partitions=4)
    people = [Conversation("generic", f"channel-{i}", "ana") for i in range(12)]
    appended = await driver.store.append([message("m1", who, text=who.channel) for who in people])
    assert {a.status for a in appended} == {"new"}
    assert len({driver.ref(who).partition for who in people}) > 1
    driver.clock.advance(WINDOW_MS)
    for who in people:
        batch = await driver.claim_batch(who)
        assert batch.conversation == who
        assert batch.messages[0].fields["text"] == who.channel


@pytest.mark.parametrize(
    "payload",
    [
        b'{"message_id":"m1","text":"\\u0000\\"quotes\\"\'"}',
        bytes(set(range(256)) - {0x0A}),
        "ação 👍".encode(),
        b"x" * 1_000_000,
    ],
    ids=["quotes", "every-byte", "utf8", "megabyte"],
)
async def test_payload_comes_out_as_it_went_in(driver: ScriptDriver, payload: bytes):
    """The stored payload is byte-exact for all bytes that JSON may hold (never a raw line feed)."""
    await driver.append("m1", payload=payload)
    driver.clock.advance(WINDOW_MS)
    assert (await driver.claim()).status == "batch"
    [entry] = await driver.redis.lrange(driver.key("batch"), 0, -1)
    assert entry[ENTRY_HEADER_SIZE:] == payload


async def test_held_conversation_keeps_messages_until_the_end_of_the_pause(driver: ScriptDriver):
    """During an operator's pause messages wait, and the wake entry is the end of the pause."""
    until_ms = await driver.store.pause(ANA, 30_000)
    await driver.append("m1")
    assert await driver.wake_ms() == until_ms
    driver.clock.advance(WINDOW_MS)
    assert await driver.claim() == Claim("paused", None, until_ms)
    driver.clock.advance(30_000)
    assert ids(await driver.claim_batch()) == ["m1"]


async def test_takeover_records_messages_as_discarded(driver: ScriptDriver):
    """During a takeover messages are recorded as discarded, added to the seen set, and open no window."""
    await driver.store.pause(ANA, 30_000, PauseMode.TAKEOVER)
    [appended] = await driver.append("m1")
    assert appended.status == "discarded"
    assert await driver.depth() == 0
    assert [(e["outcome"], e["cause"], e["messages"]) for e in await driver.history()] == [("discarded", "takeover", 1)]
    assert (await driver.append("m1"))[0].status == "duplicate"
    assert (await driver.counters())["messages_discarded"] == 1


async def test_message_after_the_pause_ended_opens_a_window(driver: ScriptDriver):
    """After the end of a takeover messages are kept again, even if no script has removed the pause yet."""
    until_ms = await driver.store.pause(ANA, 30_000, PauseMode.TAKEOVER)
    driver.clock.now_ms = until_ms
    [appended] = await driver.append("m1")
    assert appended == ("new", until_ms + WINDOW_MS, 1)


async def test_nearest_deadline_is_announced(open_driver):
    """An append announces a deadline that is earlier than all others, and no other."""
    driver = open_driver(message_buffer_timeout=1)
    async with driver.redis.pubsub() as listener:
        await listener.subscribe(driver.partition_key("wake"))
        assert (await listener.get_message(timeout=30))["type"] == "subscribe"
        await driver.append("m1", to=ANA)
        assert (await listener.get_message(timeout=30))["type"] == "message"
        driver.clock.advance(1)
        await driver.append("m1", to=BIA)
        await driver.redis.publish(driver.partition_key("wake"), "end")
        assert (await listener.get_message(timeout=30))["data"] == b"end"


async def test_deadline_after_the_next_pass_is_not_announced(driver: ScriptDriver):
    """Every dispatcher looks at the wake index before such a deadline, so nobody is woken for it."""
    async with driver.redis.pubsub() as listener:
        await listener.subscribe(driver.partition_key("wake"))
        assert (await listener.get_message(timeout=30))["type"] == "subscribe"
        await driver.append("m1")
        await driver.redis.publish(driver.partition_key("wake"), "end")
        assert (await listener.get_message(timeout=30))["data"] == b"end"


async def test_first_messages_at_the_same_instant_open_one_window(driver: ScriptDriver):
    """Many processes append the first message at once: one burst holds all of them."""
    await asyncio.gather(*(driver.append(f"m{i}") for i in range(19)))
    driver.clock.advance(WINDOW_MS)
    assert sorted(ids(await driver.claim_batch())) == sorted(f"m{i}" for i in range(19))
    assert (await driver.claim(caller="w2")).status == "busy"


async def test_idle_conversation_is_no_longer_idle(driver: ScriptDriver):
    """A conversation with a new message leaves the idle index, so that sweep keeps it."""
    batch = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), batch.token)
    assert await driver.is_idle()
    await driver.append("m2")
    assert not await driver.is_idle()
