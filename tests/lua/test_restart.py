"""MESSAGE_WHILE_ANSWERING=restart: a message that comes before the answer has begun to leave takes the batch back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from buffer.keys import fingerprint_of
from buffer.late_answers import LateAnswers
from buffer.models import Batch, Conversation, Failure, PauseMode, PostedAnswer
from buffer.person_store import People
from buffer.prints import print_of
from buffer.reply_models import SendLimits
from buffer.rules import append_rules
from tests.lua.aliases import LID, PHONE, home, link, linked
from tests.lua.driver import ANA, LEASE_MS, MAX_WAIT_MS, WINDOW_MS, ScriptDriver, ids
from tests.lua.reply_driver import ReplyDriver
from tests.lua.test_album import part
from tests.lua.test_edit import edit, edited
from tests.messages import message

RESTART = {"message_while_answering": "restart"}


@pytest.fixture
def driver(open_driver: Callable[..., ScriptDriver]) -> ScriptDriver:
    """Return a driver of a route that restarts."""
    return open_driver(**RESTART)


async def renew(driver: ScriptDriver, batch: Batch) -> str:
    return await driver.store.renew(driver.ref(), batch.token)


async def superseded(driver: ScriptDriver, *more: str) -> Batch:
    """Take a batch with the message m1 back by the messages m2 and `more`. Return it. Its worker has not noticed."""
    batch = await driver.in_flight("m1")
    driver.clock.advance(1_000)
    await driver.append("m2", *more)
    return batch


async def records(driver: ScriptDriver, outcome: str = "superseded") -> list[dict[str, Any]]:
    """Return the records of an outcome, oldest first."""
    return [record for record in reversed(await driver.history()) if record["outcome"] == outcome]


# ---- the way of a restart


async def test_messages_are_one_burst_again(driver: ScriptDriver):
    """The worker hears it, releases, and the successor has all messages, due after the window of the last one."""
    batch = await superseded(driver)
    due_ms = driver.clock() + WINDOW_MS
    assert await renew(driver, batch) == "superseded"
    assert await driver.fail(batch.token, "release") == "superseded"
    assert await driver.wake_ms() == due_ms
    assert await driver.redis.exists(driver.key("batch"), driver.key("lock")) == 0
    driver.clock.advance(WINDOW_MS - 1)
    assert (await driver.claim(caller="w2")).until_ms == due_ms
    driver.clock.advance(1)
    again = await driver.claim_batch(caller="w2")
    assert ids(again) == ["m1", "m2"]
    assert (again.supersedes, again.attempt) == ((batch.flush_id,), 1)
    assert again.flush_id != batch.flush_id
    [record] = await records(driver)
    assert (record["flush_id"], record["successor"]) == (batch.flush_id, again.flush_id)
    assert (record["messages"], record["attempts"]) == (1, 1)
    assert await driver.store.ack(driver.ref(), again.token) == "ok"
    assert (await driver.counters())["flushes_superseded"] == 1
    assert not {"supersedes", "superseded", "taken_back"} & (await driver.conv()).keys()


async def test_queue_is_as_before(open_driver):
    """Without the setting a message waits behind the batch."""
    driver = open_driver()
    batch = await superseded(driver)
    assert await renew(driver, batch) == "ok"
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == ["m2"]


async def test_duplicate_takes_nothing_back(driver: ScriptDriver):
    """A message that is known is no news, also for the batch in flight."""
    batch = await driver.in_flight("m1")
    await driver.append("m1")
    assert await renew(driver, batch) == "ok"


ENDS: dict[str, Callable[[ReplyDriver, Batch], Any]] = {
    "answered": lambda replies, batch: replies.answer(batch, "olá"),
    "answered without parts": lambda replies, batch: replies.answer(batch),
    "ack": lambda replies, batch: replies.store.ack(replies.driver.ref(), batch.token),
    "retry": lambda replies, batch: replies.driver.fail(batch.token, "retry", delay_ms=5_000),
    "dead": lambda replies, batch: replies.driver.fail(batch.token, "dead"),
    "release": lambda replies, batch: replies.driver.fail(batch.token, "release"),
    "await": lambda replies, batch: LateAnswers(replies.store).wait(replies.driver.ref(), batch.token, 60_000),
}


@pytest.mark.parametrize("end", ENDS)
async def test_every_end_of_the_worker(driver: ScriptDriver, replies: ReplyDriver, end: str):
    """Whatever the worker brings, the batch goes back. A repeated call, after a lost reply, gets the same."""
    batch = await superseded(driver)
    assert await ENDS[end](replies, batch) == "superseded"
    before = await driver.conv()
    assert await ENDS[end](replies, batch) == "superseded"
    assert await renew(driver, batch) == "superseded"
    assert await driver.conv() == before
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(caller="w2")
    assert (ids(again), again.answer, again.failures) == (["m1", "m2"], None, 0)
    assert await driver.store.ack(driver.ref(), again.token) == "ok"
    assert await ENDS[end](replies, batch) == "lost"


async def test_first_part_is_the_moment_of_no_return(driver: ScriptDriver, replies: ReplyDriver):
    """Before the mark of part 1 the batch is taken back; after it the message waits behind, also if the part failed."""
    batch = await driver.in_flight("m1")
    await replies.answer(batch, "olá", "tudo bem?")
    await driver.append("m2")
    assert (await replies.begin(batch)) == ("superseded", None)
    assert (await replies.begin(batch)) == ("superseded", None)
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(caller="w2")
    await replies.answer(again, "olá", "tudo bem?")
    assert (await replies.begin(again)).mark == "send"
    await driver.append("m3")
    assert await replies.end(again, end="later", delay_ms=1_000, reason="503") == "later"
    driver.clock.advance(1_000)
    await driver.append("m4")
    last = await driver.claim_batch(caller="w3")
    assert (last.flush_id, last.next_part) == (again.flush_id, 1)
    await replies.send(last, 1)
    await replies.send(last, 2, "id2")
    assert await driver.store.ack(driver.ref(), last.token) == "ok"
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch(caller="w4")) == ["m3", "m4"]
    assert len(await records(driver)) == 1


async def test_answer_without_parts_is_the_moment_of_no_return(driver: ScriptDriver, replies: ReplyDriver):
    """An answer that nobody sends ends the time as its ack would: the hand-over that it asks for may be under way."""
    batch = await driver.in_flight("m1")
    assert await replies.answer(batch) == "ok"
    await driver.append("m2")
    assert await renew(driver, batch) == "ok"
    assert await driver.store.ack(driver.ref(), batch.token) == "ok"


async def test_worker_of_a_lease_that_is_not_renewed(driver: ScriptDriver):
    """A worker that died after the mark: its lease ends, and the claim takes the batch back and says so."""
    batch = await superseded(driver)
    driver.clock.advance(LEASE_MS)
    claim = await driver.claim(caller="w2")
    assert claim.ended is not None
    assert (claim.ended.outcome, claim.ended.flush_id) == ("superseded", batch.flush_id)
    assert claim.batch is not None
    assert ids(claim.batch) == ["m1", "m2"]
    assert (claim.batch.crashes, claim.batch.attempt) == (1, 1)
    assert await driver.store.ack(driver.ref(), batch.token) == "lost"


@pytest.mark.parametrize("wait", ["retry", "held", "pace", "answer"])
async def test_batch_that_waits(driver: ScriptDriver, replies: ReplyDriver, wait: str):
    """A batch that nobody has in hand is taken back at once, and its wait is over."""
    batch = await driver.in_flight("m1")
    ref = driver.ref()
    if wait == "retry":
        await driver.fail(batch.token, "retry", delay_ms=300_000)
    elif wait == "held":
        await driver.store.end_attempt(ref, batch.token, Failure("held", 300_000, "held", agent="tag"))
    elif wait == "pace":
        await replies.answer(batch, "olá", delay_ms=9_000)
    else:
        await LateAnswers(driver.store).wait(ref, batch.token, 300_000)
    driver.clock.advance(1_000)
    now_ms = driver.clock()
    await driver.append("m2")
    assert await driver.wake_ms() == now_ms
    if wait == "answer":
        assert await LateAnswers(driver.store).post(batch.flush_id, PostedAnswer("text/plain", b"oi")) == "unknown"
    claim = await driver.claim(caller="w2")
    assert (claim.status, claim.until_ms) == ("early", now_ms + WINDOW_MS)
    assert claim.ended is not None
    assert claim.ended.outcome == "superseded"
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(caller="w2")
    assert (ids(again), again.crashes) == (["m1", "m2"], 0)
    assert await LateAnswers(driver.store).post(batch.flush_id, PostedAnswer("text/plain", b"oi")) == "unknown"
    assert await driver.redis.exists(driver.partition_key("parked") + ":tag") == 0


async def test_posted_answer_is_sent(driver: ScriptDriver):
    """An answer that a late agent has posted is on its way: a message after it waits behind."""
    batch = await driver.in_flight("m1")
    late = LateAnswers(driver.store)
    await late.wait(driver.ref(), batch.token, 300_000)
    assert await late.post(batch.flush_id, PostedAnswer("text/plain", b"oi")) == "stored"
    await driver.append("m2")
    again = await driver.claim_batch(caller="w2")
    assert again.flush_id == batch.flush_id
    assert again.posted is not None


# ---- bounds


async def test_restarts_max(driver: ScriptDriver):
    """After RESTARTS_MAX restarts a message waits behind. `supersedes` names all, and the next burst counts anew."""
    flushed: list[Batch] = []
    for number in (1, 2, 3):
        await driver.append(f"m{number}")
        if flushed:
            await driver.fail(flushed[-1].token, "release")
        driver.clock.advance(WINDOW_MS)
        flushed.append(await driver.claim_batch(caller=f"w{number}"))
    first, second, third = flushed
    assert [batch.supersedes for batch in flushed] == [(), (first.flush_id,), (first.flush_id, second.flush_id)]
    await driver.append("m4")
    assert await renew(driver, third) == "ok"
    assert await driver.store.ack(driver.ref(), third.token) == "ok"
    assert [record["successor"] for record in await records(driver)] == [second.flush_id, third.flush_id]
    driver.clock.advance(WINDOW_MS)
    fourth = await driver.claim_batch(caller="w4")
    assert (ids(fourth), fourth.supersedes) == (["m4"], ())
    await driver.append("m5")
    assert await renew(driver, fourth) == "superseded"


async def test_max_wait_counts_from_the_first_message(driver: ScriptDriver):
    """The window of a restart ends at the longest wait of the first message. At that bound a message waits behind."""
    opened_ms = driver.clock()
    batch = await driver.in_flight("m1")
    driver.clock.advance(MAX_WAIT_MS - WINDOW_MS - 1_000)
    await renew(driver, batch)
    await driver.append("m2")
    await driver.append("m3")
    await driver.fail(batch.token, "release")
    assert await driver.wake_ms() == opened_ms + MAX_WAIT_MS
    driver.clock.advance(1_000)
    again = await driver.claim_batch(caller="w2")
    assert (ids(again), again.reason) == (["m1", "m2", "m3"], "max_wait")
    await driver.append("m4")
    assert await renew(driver, again) == "ok"


@pytest.mark.parametrize("cap", ["messages", "bytes"])
async def test_caps_hold_for_both(open_driver, cap: str):
    """A message that does not fit into the batch waits behind. One that fills it up closes the burst at once."""
    size = len(message("m1", ANA).payload)
    caps = {"message_buffer_max_messages": 3} if cap == "messages" else {"message_buffer_max_bytes": 3 * size}
    driver = open_driver(**RESTART, **caps)
    await driver.append("m0")
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    await driver.fail(batch.token, "release")
    full = await driver.claim_batch(caller="w2")
    assert (ids(full), full.reason) == (["m0", "m1", "m2"], f"max_{cap}")
    await driver.append("m3")
    assert await renew(driver, full) == "ok"


async def test_more_than_a_batch_holds(open_driver):
    """Messages that come after the mark may be too many: the rest is a burst of its own."""
    driver = open_driver(**RESTART, message_buffer_max_messages=2)
    batch = await superseded(driver, "m3")
    await driver.fail(batch.token, "release")
    again = await driver.claim_batch(caller="w2")
    assert (ids(again), again.supersedes) == (["m1", "m2"], (batch.flush_id,))
    await driver.store.ack(driver.ref(), again.token)
    driver.clock.advance(WINDOW_MS)
    last = await driver.claim_batch(caller="w3")
    assert (ids(last), last.supersedes) == (["m3"], ())


async def test_killer_is_not_restarted_for_ever(driver: ScriptDriver):
    """Crashes count on through a restart, and a batch that is a suspect is not taken back: it dies in the end."""
    await superseded(driver)
    driver.clock.advance(LEASE_MS)
    second = await driver.claim_batch(caller="w2")
    assert (second.crashes, len(second.supersedes)) == (1, 1)
    await driver.append("m3")
    driver.clock.advance(LEASE_MS)
    third = await driver.claim_batch(caller="w3")
    assert (third.flush_id, third.crashes, ids(third)) == (second.flush_id, 2, ["m1", "m2"])
    assert await renew(driver, third) == "ok"
    await driver.append("m4")
    assert await renew(driver, third) == "ok"


@pytest.mark.parametrize("by", ["claim", "worker"])
async def test_list_that_is_gone(driver: ScriptDriver, by: str):
    """A batch whose list is gone from Redis is recorded as lost. What came after it is delivered."""
    batch = await superseded(driver)
    await driver.redis.delete(driver.key("batch"))
    if by == "worker":
        assert await driver.fail(batch.token, "release") == "superseded"
    driver.clock.advance(LEASE_MS)
    claim = await driver.claim(caller="w2")
    assert claim.batch is not None
    assert (ids(claim.batch), claim.batch.supersedes) == (["m2"], ())
    assert by == "worker" or (claim.ended is not None and claim.ended.outcome == "lost")
    [record] = await records(driver, "discarded")
    assert (record["cause"], await records(driver)) == ("lost", [])


async def test_changes_of_a_batch_that_stays(driver: ScriptDriver):
    """A suspect stays, and its messages as they were sealed: changes that waited for the messages are forgotten."""
    await superseded(driver)
    driver.clock.advance(LEASE_MS)
    second = await driver.claim_batch(caller="w2")
    await driver.append("m3")
    assert await edit(driver, "m1", "new") == "changed"
    driver.clock.advance(LEASE_MS)
    third = await driver.claim_batch(caller="w3")
    assert (third.flush_id, edited(third)) == (second.flush_id, {"m1": None, "m2": None})
    assert not await driver.redis.exists(driver.key("mark"))


async def test_dead_letter_is_not_restarted(driver: ScriptDriver):
    """A redriven dead letter is delivered as it was, with the flushes that it replaced."""
    batch = await superseded(driver)
    await driver.fail(batch.token, "release")
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(caller="w2")
    assert await driver.fail(again.token, "dead") == "dead"
    assert await driver.store.redrive(again.flush_id) == "ok"
    redriven = await driver.claim_batch(caller="w3")
    assert (redriven.flush_id, redriven.supersedes) == (again.flush_id, (batch.flush_id,))
    await driver.append("m3")
    assert await renew(driver, redriven) == "ok"


async def test_disabled_buffer(open_driver):
    """Where every message is its own flush nothing is taken back."""
    driver = open_driver(**RESTART, message_buffer_enabled=False)
    await driver.append("m1")
    batch = await driver.claim_batch()
    await driver.append("m2")
    assert await renew(driver, batch) == "ok"


# ---- what else may happen to a conversation


async def test_operator_discards(driver: ScriptDriver):
    """A discard counts more than a mark: the batch is cancelled, and no message is left."""
    batch = await superseded(driver)
    assert await driver.store.discard(ANA) == (1, True)
    assert await renew(driver, batch) == "cancelled"
    assert await driver.fail(batch.token, "release") == "cancelled"
    assert await records(driver) == []
    assert sum(record["messages"] for record in await records(driver, "discarded")) == 2
    assert (await driver.claim(caller="w2")).status == "empty"


async def test_takeover_after_the_rejoin(driver: ScriptDriver):
    """The burst is discarded with all its messages, and the flush that it took back has no successor."""
    batch = await superseded(driver)
    await driver.fail(batch.token, "release")
    await driver.store.pause(ANA, 60_000, PauseMode.TAKEOVER)
    [discard] = await records(driver, "discarded")
    assert (discard["messages"], discard["cause"]) == (2, "takeover")
    [record] = await records(driver)
    assert (record["flush_id"], record["cause"], "successor" in record) == (batch.flush_id, "takeover", False)
    assert "taken_back" not in await driver.conv()


async def test_pause_holds_the_burst(driver: ScriptDriver):
    """A message under a pause takes the batch back, too. Both wait for the end of the pause."""
    batch = await driver.in_flight("m1")
    until_ms = await driver.store.pause(ANA, 30_000, PauseMode.HOLD)
    await driver.append("m2")
    assert await driver.fail(batch.token, "release") == "superseded"
    assert await driver.wake_ms() == until_ms
    await driver.store.resume(ANA)
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch(caller="w2")) == ["m1", "m2"]


async def test_typing_of_before(driver: ScriptDriver, replies: ReplyDriver):
    """Typing that has led to the message which takes the batch back delays no answer to that message."""
    batch = await driver.in_flight("m1")
    await driver.store.presence(ANA, "typing")
    driver.clock.advance(1_000)
    await driver.append("m2")
    assert await driver.fail(batch.token, "release") == "superseded"
    assert not {"typing_until_ms", "typing_waited"} & (await driver.conv()).keys()
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(caller="w2")
    await replies.answer(again, "olá")
    assert (await replies.begin(again, limits=SendLimits(typing_hold_ms=12_000))).mark == "send"


async def test_typing_moves_the_deadline_of_both(driver: ScriptDriver):
    """Typing after the mark holds the open burst, and so the burst that it becomes. It ends at the longest wait."""
    opened_ms = driver.clock()
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    driver.clock.advance(5_000)
    held_ms = await driver.store.presence(ANA, "typing")
    assert held_ms == driver.clock() + 12_000
    await driver.fail(batch.token, "release")
    assert await driver.wake_ms() == held_ms
    driver.clock.advance(11_000)
    await driver.store.presence(ANA, "typing")
    driver.clock.advance(11_000)
    await driver.store.presence(ANA, "typing")
    driver.clock.advance(11_000)
    await driver.store.presence(ANA, "typing")
    driver.clock.advance(11_000)
    assert await driver.store.presence(ANA, "typing") == opened_ms + MAX_WAIT_MS


async def test_order_and_media(driver: ScriptDriver):
    """Messages stand by their timestamps again, and inline media is still there."""
    late = message("m1", ANA, order_ms=5_000)._replace(media=b"abc")
    await driver.store.append([late, message("m0", ANA, order_ms=1_000)])
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    assert ids(batch) == ["m0", "m1"]
    await driver.store.append([message("m2", ANA, order_ms=3_000)])
    await driver.fail(batch.token, "release")
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(caller="w2")
    assert ids(again) == ["m0", "m2", "m1"]
    assert [stored.media for stored in again.messages] == [None, None, b"abc"]
    assert [again.opened_ms, again.last_ms] == [batch.opened_ms, again.last_ms]


async def test_rules_of_a_route_stay(open_driver):
    """A burst that carries rules carries them through a restart, also if the message that took it back is revoked."""
    driver = open_driver(**RESTART)
    settings = open_driver(**RESTART, message_buffer_separator=" | ").store.settings
    rules = append_rules(settings, driver.store.settings)
    await driver.store.append([message("m1", ANA)], rules)
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    assert batch.separator == " | "
    await driver.store.append([message("m2", ANA)], rules)
    assert await driver.store.revoke(ANA, fingerprint_of("m2")) == "removed"
    assert await driver.fail(batch.token, "release") == "superseded"
    again = await driver.claim_batch(caller="w2")
    assert (ids(again), again.separator, again.supersedes) == (["m1"], " | ", (batch.flush_id,))


async def test_memory_of_a_dropped_answer(driver: ScriptDriver, replies: ReplyDriver):
    """The memory of an answer counts from its first part on. That of an answer that was taken back is gone."""
    batch = await driver.in_flight("m1")
    ref = driver.ref()

    async def answer(batch: Batch, memory: bytes) -> str:
        return await driver.store.answered(ref, batch.token, b"{}", print_of("olá"), memory=memory)

    assert await answer(batch, b"dropped") == "ok"
    await driver.append("m2")
    assert (await replies.begin(batch)).mark == "superseded"
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(caller="w2")
    assert again.memory == b""
    assert await answer(again, b"kept") == "ok"
    assert await driver.redis.exists(driver.key("memory")) == 0
    await replies.send(again)
    assert await driver.redis.get(driver.key("memory")) == b"kept"
    await driver.store.ack(ref, again.token)
    assert (await driver.in_flight("m3")).memory == b"kept"


async def test_superseding_message_is_no_cut(driver: ScriptDriver):
    """The person was not cut off: a message that takes its batch back counts its gap, and no split burst."""
    batch = await superseded(driver)
    await driver.fail(batch.token, "release")
    tally = await driver.tally()
    assert "bursts_split" not in tally
    assert (tally["gap:14"], tally["gap:turns"]) == (1, 1)


async def test_wait_of_a_superseded_flush(driver: ScriptDriver):
    """The wait for the agent is counted once, from the last message of all to the claim of the successor."""
    batch = await superseded(driver)
    await driver.fail(batch.token, "release")
    driver.clock.advance(WINDOW_MS + 500)
    await driver.claim_batch(caller="w2")
    counts = {name: count for name, count in (await driver.tally()).items() if name.startswith("wait_ms") and count}
    assert sum(count for name, count in counts.items() if name != "wait_ms:sum") == 1
    assert counts["wait_ms:sum"] == WINDOW_MS + 500


async def test_second_name_while_superseded(driver: ScriptDriver):
    """A batch that stays under its old name is not taken back any more: it goes as it was, and the rest behind it."""
    busy = await driver.in_flight("busy", to=PHONE)
    batch = await driver.in_flight("m1", to=LID)
    await driver.append("m2", to=LID)
    assert await driver.store.renew(driver.ref(LID), batch.token) == "superseded"
    await driver.store.append([linked("m3", PHONE, LID)])
    assert await driver.store.renew(driver.ref(LID), batch.token) == "ok"
    assert await driver.fail(batch.token, "release", to=LID) == "ok"
    assert await driver.fail(busy.token, "release", to=PHONE) == "superseded"
    again = await driver.claim_batch(LID, "w2")
    assert (again.flush_id, ids(again), again.supersedes) == (batch.flush_id, ["m1"], ())
    assert await driver.store.ack(driver.ref(LID), again.token) == "ok"
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch(PHONE, "w3")) == ["busy", "m2", "m3"]


async def test_second_name_of_the_one_that_stays(driver: ScriptDriver):
    """The batch of the conversation that stays is taken back with the messages of both names."""
    batch = await driver.in_flight("m1", to=PHONE)
    await driver.append("m2", to=LID)
    await driver.store.append([linked("m3", PHONE, LID)])
    assert await driver.fail(batch.token, "release", to=PHONE) == "superseded"
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch(PHONE, "w2")) == ["m1", "m2", "m3"]


async def test_second_name_with_older_messages(open_driver):
    """What the person had said before under another name stands before the batch that goes back, and is told first."""
    driver = open_driver(**RESTART, message_buffer_max_messages=2)
    opened_ms = driver.clock()
    await driver.append("l1", to=LID)
    await driver.append("l2", to=LID)
    driver.clock.advance(1_000)
    batch = await driver.in_flight("m1", to=PHONE)
    await driver.append("m2", to=PHONE)
    assert await link(driver, "m2") == "duplicate"
    assert await driver.fail(batch.token, "release", to=PHONE) == "superseded"
    first = await driver.claim_batch(PHONE, "w2")
    assert (ids(first), first.opened_ms, first.last_ms) == (["l1", "l2"], opened_ms, opened_ms)
    assert await driver.store.ack(driver.ref(PHONE), first.token) == "ok"
    second = await driver.claim_batch(PHONE, "w3")
    assert (ids(second), second.opened_ms) == (["m1", "m2"], batch.opened_ms)


async def test_only_older_messages_of_a_second_name(driver: ScriptDriver):
    """The burst of older messages to which a batch goes back had its last message when the batch had it."""
    await driver.append("l1", to=LID)
    driver.clock.advance(1_000)
    batch = await driver.in_flight("m1", to=PHONE)
    await driver.append("m2", to=PHONE)
    assert await driver.store.revoke(PHONE, fingerprint_of("m2")) == "removed"
    assert await link(driver, "m1") == "duplicate"
    assert await driver.fail(batch.token, "release", to=PHONE) == "superseded"
    assert int((await driver.conv(PHONE))["last_ms"]) == batch.last_ms
    assert ids(await driver.claim_batch(PHONE, "w2")) == ["l1", "m1"]


@pytest.mark.parametrize("kept", [PHONE, LID])
async def test_second_name_after_the_rejoin(driver: ScriptDriver, kept: Conversation):
    """The merged burst replaces what both bursts have taken back, whichever name stays."""
    taken = []
    for number, name in enumerate((PHONE, LID) if kept == PHONE else (LID, PHONE)):
        batch = await driver.in_flight(f"a{number}", to=name)
        await driver.append(f"b{number}", to=name)
        assert await driver.fail(batch.token, "release", to=name) == "superseded"
        taken.append(batch.flush_id)
    other = LID if kept == PHONE else PHONE
    await driver.store.append([linked("last", kept, other)])
    assert await home(driver) == kept
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(kept, "w2")
    assert sorted(ids(again)) == ["a0", "a1", "b0", "b1", "last"]
    assert list(again.supersedes) == taken
    assert [record["flush_id"] for record in await records(driver)] == taken
    assert await driver.redis.exists(driver.key("conv", other)) == 0


@pytest.mark.parametrize("when", ["before", "after"])
async def test_edit(driver: ScriptDriver, when: str):
    """An edit of a message whose batch was taken back counts, before and after the messages are back."""
    batch = await superseded(driver)
    if when == "after":
        await driver.fail(batch.token, "release")
    assert [await edit(driver, name, f"new {name}") for name in ("m1", "m2")] == ["changed", "changed"]
    assert await edit(driver, "m1", "old", edited_ms=5) == "older"
    if when == "before":
        await driver.fail(batch.token, "release")
        assert not await driver.redis.exists(driver.key("mark"))
    driver.clock.advance(WINDOW_MS)
    assert edited(await driver.claim_batch(caller="w2")) == {"m1": "new m1", "m2": "new m2"}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_revoke(driver: ScriptDriver, when: str):
    """A message that is revoked after its batch was taken back is in no batch any more, and its discard is recorded."""
    batch = await superseded(driver)
    if when == "after":
        await driver.fail(batch.token, "release")
    assert await driver.store.revoke(ANA, fingerprint_of("m1")) == "removed"
    if when == "before":
        await driver.fail(batch.token, "release")
        assert not await driver.redis.exists(driver.key("mark"))
    [discard] = await records(driver, "discarded")
    assert (discard["cause"], discard["messages"]) == ("revoke", 1)
    driver.clock.advance(WINDOW_MS)
    again = await driver.claim_batch(caller="w2")
    assert (ids(again), again.supersedes) == (["m2"], (batch.flush_id,))


@pytest.mark.parametrize("when", ["before", "after"])
async def test_everything_is_revoked(driver: ScriptDriver, when: str):
    """A burst that is left empty is no flush. What it took back has no successor."""
    batch = await superseded(driver)
    if when == "after":
        await driver.fail(batch.token, "release")
    assert [await driver.store.revoke(ANA, fingerprint_of(name)) for name in ("m1", "m2")] == ["removed", "removed"]
    if when == "before":
        assert await driver.fail(batch.token, "release") == "superseded"
    [record] = await records(driver)
    assert (record["cause"], "successor" in record) == ("revoke", False)
    assert await driver.is_idle()
    assert await driver.wake_ms() is None
    assert not {"taken_back", "window", "flush_id"} & (await driver.conv()).keys()
    assert await driver.redis.exists(driver.key("batch"), driver.key("buffer"), driver.key("timer")) == 0


async def test_album(driver: ScriptDriver):
    """A picture that comes after its album was claimed goes out with the others, in one batch."""
    await driver.store.append([part("a1"), part("a2")])
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    await driver.store.append([part("a3")])
    await driver.fail(batch.token, "release")
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch(caller="w2")) == ["a1", "a2", "a3"]


async def test_erase(driver: ScriptDriver):
    """Nothing is left of a person whose batch was taken back, and the worker has lost."""
    batch = await superseded(driver)
    assert (await People(driver.store).erase(ANA)).messages == 2
    assert await driver.fail(batch.token, "release") == "lost"
    batch = await superseded(driver, "m3")
    await driver.fail(batch.token, "release")
    await People(driver.store).erase(ANA)
    assert (await driver.claim(caller="w2")).status == "empty"


async def test_sealed_again_after_a_rollback(driver: ScriptDriver):
    """A failover that loses the seal of a successor: the same flush_id with the same bytes comes again."""
    batch = await superseded(driver)
    await driver.fail(batch.token, "release")
    keys = [driver.key("conv"), driver.key("buffer"), driver.partition_key("wake")]
    dumps = [await driver.redis.dump(key) for key in keys]
    driver.clock.advance(WINDOW_MS)
    first = await driver.claim_batch(caller="w2")
    await driver.redis.delete(driver.key("batch"), driver.key("lock"))
    for key, dump in zip(keys, dumps, strict=True):
        await driver.redis.restore(key, 0, dump, replace=True)
    driver.clock.advance(3_000)
    second = await driver.claim_batch(caller="w3")
    assert (second.flush_id, second.supersedes, ids(second)) == (first.flush_id, first.supersedes, ids(first))


async def test_worker_is_told_at_once(driver: ScriptDriver):
    """The mark of a batch in flight is announced with the conversation, and no other message is."""
    pubsub = driver.redis.pubsub()
    await pubsub.subscribe(driver.partition_key("wake"))
    await driver.in_flight("m1")
    await driver.append("m2", "m3")
    await driver.append("m4")
    heard = []
    while (said := await pubsub.get_message(timeout=0.5)) is not None:
        heard += [said["data"]] if said["type"] == "message" and said["data"] else []
    await pubsub.aclose()
    assert heard == [driver.ref().hash.encode()]
