"""claim: the lease on a conversation's batch, and the sealing of a due burst."""

from __future__ import annotations

import json
import re

import pytest

from buffer.models import Batch
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, Desk, ids


async def test_nothing_to_claim(desk: Desk):
    """A conversation that is not known is empty, and claiming it leaves no trace."""
    assert await desk.claim() == ("empty", None, None)
    assert await desk.all_keys() == []


async def test_early_puts_the_entry_back(desk: Desk):
    """A millisecond before the deadline nothing is sealed and the wake entry is the deadline again."""
    [appended] = await desk.say("m1")
    desk.clock.advance(WINDOW_MS - 1)
    await desk.redis.zadd(desk.partition_key("wake"), {desk.ref().hash: desk.clock()})
    await desk.due()
    assert await desk.claim() == ("early", None, appended.deadline_ms)
    assert await desk.wake_ms() == appended.deadline_ms
    assert await desk.depth() == 1


async def test_batch_at_the_deadline(desk: Desk):
    """At the deadline the burst is sealed: everything a flush needs is in the reply, the buffer is closed."""
    opened_ms = desk.clock()
    await desk.say("m1", name="Ana")
    last_ms = desk.clock.advance(2_000)
    await desk.say("m2")
    now_ms = desk.clock.advance(WINDOW_MS)
    batch = await desk.take()
    assert ids(batch) == ["m1", "m2"]
    assert (batch.opened_ms, batch.last_ms, batch.closed_ms) == (opened_ms, last_ms, now_ms)
    assert (batch.ref, batch.conversation, batch.name) == (str(desk.ref()), ANA, "Ana")
    assert (batch.attempt, batch.failures, batch.reason) == (1, 0, "quiet")
    assert (batch.separator, batch.answer) == ("\n", None)
    assert await desk.depth() == 0
    assert await desk.redis.exists(desk.key("timer")) == 0


async def test_flush_id_is_fit_for_a_header(desk: Desk):
    """The flush_id begins with the conversation's reference and has only letters, digits, `-` and `_`."""
    batch = await desk.in_flight("m1")
    assert re.fullmatch(r"[A-Za-z0-9_-]+", batch.flush_id)
    assert batch.flush_id.startswith(f"{desk.ref()}-")


async def test_two_bursts_have_two_flush_ids(desk: Desk):
    """The next burst is another flush, and its generation is later."""
    first = await desk.in_flight("m1")
    await desk.store.ack(desk.ref(), first.token)
    second = await desk.in_flight("m2")
    assert second.flush_id != first.flush_id


async def test_second_worker_is_told_busy(desk: Desk):
    """While a lease lives nobody else gets the batch, and the wake entry is the lease's end."""
    await desk.in_flight("m1")
    until_ms = desk.clock() + LEASE_MS
    desk.clock.advance(LEASE_MS - 1)
    assert await desk.claim(caller="w2") == ("busy", None, until_ms)
    assert await desk.wake_ms() == until_ms


async def test_repeated_claim_returns_the_same_batch(desk: Desk):
    """A claim whose reply was lost is repeated with the same caller: same batch, same token, same attempt."""
    first = await desk.in_flight("m1")
    desk.clock.advance(1_000)
    assert await desk.take(caller="w1") == first


async def test_lock_mirrors_the_lease(desk: Desk):
    """The lock key holds the token and ends with the lease; the hash says the same."""
    batch = await desk.in_flight("m1")
    assert (await desk.redis.get(desk.key("lock"))).decode() == batch.token
    assert LEASE_MS - 5_000 < await desk.redis.pttl(desk.key("lock")) <= LEASE_MS
    conv = await desk.conv()
    assert (conv["token"], int(conv["lease_until_ms"])) == (batch.token, desk.clock() + LEASE_MS)


async def test_lock_that_outlived_its_lease_is_replaced(desk: Desk):
    """The hash decides: a lock still there after the lease's end does not keep the next worker out."""
    await desk.in_flight("m1")
    desk.clock.advance(LEASE_MS)
    assert await desk.redis.exists(desk.key("lock"))
    batch = await desk.take(caller="w2")
    assert (await desk.redis.get(desk.key("lock"))).decode() == batch.token


async def test_lost_lock_gives_nothing_away(desk: Desk):
    """The hash decides: without the lock key the lease still holds."""
    await desk.in_flight("m1")
    await desk.redis.delete(desk.key("lock"))
    assert (await desk.claim(caller="w2")).status == "busy"


async def test_batch_of_a_dead_worker_is_claimed_as_it_was(open_desk):
    """After the lease's end the same batch goes out again, with the same id, even under other settings."""
    desk = open_desk()
    await desk.say("m1", "m2", name="Ana")
    desk.clock.advance(WINDOW_MS)
    first = await desk.take()
    await desk.say("m3", name="Ana Maria")
    desk.clock.advance(LEASE_MS)
    changed = open_desk(message_buffer_max_messages=1, message_buffer_separator=" ")
    second = await changed.take(caller="w2")
    assert second.token != first.token
    assert second.attempt == 2
    assert body(second) == body(first)


async def test_crashes_are_no_failures(desk: Desk):
    """A worker that died costs an attempt number, not one of the attempts that the agent is granted."""
    await desk.in_flight("m1")
    desk.clock.advance(LEASE_MS)
    batch = await desk.take(caller="w2")
    assert (batch.attempt, batch.failures) == (2, 0)
    assert (await desk.conv())["crashes"] == "1"


async def test_twenty_crashes_are_a_dead_letter(desk: Desk):
    """A batch whose worker died 20 times is dead, and the next burst goes on."""
    first = await desk.in_flight("m1")
    for n in range(19):
        desk.clock.advance(LEASE_MS)
        assert (await desk.take(caller=f"w{n}")).flush_id == first.flush_id
    await desk.say("m2")
    desk.clock.advance(LEASE_MS)
    assert ids(await desk.take(caller="last")) == ["m2"]
    [letter] = await desk.redis.zrange(desk.partition_key("dead"), 0, -1)
    assert letter.decode() == first.flush_id
    assert "20 times" in (await desk.history())[0]["error"]


async def test_order_is_by_timestamp_then_arrival(desk: Desk):
    """Gateway timestamps decide the order; equal ones keep the order of arrival; none is the time of receipt."""
    t = desk.clock()
    await desk.say("late", order_ms=t + 500)
    await desk.say("first", order_ms=t - 9_000)
    await desk.say("second", "third", order_ms=t - 8_000)
    await desk.say("received")
    desk.clock.advance(WINDOW_MS)
    assert ids(await desk.take()) == ["first", "second", "third", "received", "late"]


@pytest.mark.parametrize(
    ("settings", "size"),
    [({"message_buffer_max_messages": 3}, 60), ({"message_buffer_max_bytes": 300}, 100)],
    ids=["messages", "bytes"],
)
async def test_remainder_is_a_window_of_its_own(open_desk, settings, size):
    """What does not fit into one batch is a new window, opened at its own first message."""
    desk = open_desk(**settings)
    first = await desk.in_flight("m0")
    received = {}
    for name in ("m1", "m2", "m3", "m4"):
        received[name] = desk.clock.advance(1_000)
        await desk.say(name, payload=json.dumps({"message_id": name}).ljust(size).encode())
    await desk.store.ack(desk.ref(), first.token)
    second = await desk.take()
    assert ids(second) == ["m1", "m2", "m3"]
    assert second.reason in ("max_messages", "max_bytes")
    assert int((await desk.conv())["opened_ms"]) == received["m4"]
    await desk.store.ack(desk.ref(), second.token)
    assert await desk.wake_ms() == received["m4"] + WINDOW_MS
    assert (await desk.claim()).status == "early"
    desk.clock.now_ms = received["m4"] + WINDOW_MS
    third = await desk.take()
    assert (ids(third), third.reason, third.opened_ms) == (["m4"], "quiet", received["m4"])


async def test_remainder_that_is_full_again_is_due_at_once(open_desk):
    """Seven messages with a cap of three: two full batches now, the last one after its window."""
    desk = open_desk(message_buffer_max_messages=3)
    batch = await desk.in_flight("m0")
    await desk.say(*(f"m{i}" for i in range(1, 8)))
    taken = []
    for _ in range(2):
        await desk.store.ack(desk.ref(), batch.token)
        batch = await desk.take()
        taken.append((ids(batch), batch.reason))
    await desk.store.ack(desk.ref(), batch.token)
    assert taken == [(["m1", "m2", "m3"], "max_messages"), (["m4", "m5", "m6"], "max_messages")]
    assert (await desk.claim()).status == "early"


async def test_keyword_in_the_remainder_fires(open_desk):
    """A flush keyword that did not fit still flushes its own window at once."""
    desk = open_desk(message_buffer_max_messages=2)
    batch = await desk.in_flight("m0")
    await desk.say("m1", "m2")
    await desk.say("m3", keyword=True)
    await desk.store.ack(desk.ref(), batch.token)
    batch = await desk.take()
    assert ids(batch) == ["m1", "m2"]
    await desk.store.ack(desk.ref(), batch.token)
    batch = await desk.take()
    assert (ids(batch), batch.reason) == (["m3"], "keyword")


async def test_remainder_is_opened_at_its_first_message_for_the_longest_wait(open_desk):
    """The longest wait of a remainder counts from its own first message."""
    desk = open_desk(message_buffer_max_messages=1, message_buffer_timeout=8, message_buffer_max_wait=10)
    batch = await desk.in_flight("m0")
    await desk.say("m1")
    opened_ms = desk.clock.advance(1_000)
    await desk.say("m2")
    more = open_desk(message_buffer_max_messages=20, message_buffer_max_wait=10)
    await desk.store.ack(desk.ref(), batch.token)
    batch = await desk.take()
    desk.clock.advance(5_000)
    await more.say("m3")
    await more.store.ack(desk.ref(), batch.token)
    assert ids(batch) == ["m1"]
    assert int((await desk.conv())["opened_ms"]) == opened_ms


@pytest.mark.parametrize("rolled_back", ["seal", "ack"])
async def test_flush_id_is_the_same_after_a_rollback(desk: Desk, rolled_back: str):
    """A failover that loses the seal or the ack gives the same flush_id for the same messages again."""
    await desk.say("m1", "m2")
    desk.clock.advance(WINDOW_MS)
    before_seal = await dump(desk)
    first = await desk.take()
    before_ack = await dump(desk)
    await desk.store.ack(desk.ref(), first.token)
    await restore(desk, before_seal if rolled_back == "seal" else before_ack)
    desk.clock.advance(LEASE_MS + 123)
    second = await desk.take(caller="w2")
    assert body(second) == body(first)
    assert second.token != first.token


async def test_burst_is_closed_at_its_deadline(desk: Desk):
    """`closed_ms` says when the window ended, not when a worker found the time; a fired one takes what still came."""
    [appended] = await desk.say("m1")
    desk.clock.now_ms = appended.deadline_ms + 700
    batch = await desk.take()
    assert batch.closed_ms == appended.deadline_ms
    await desk.store.ack(desk.ref(), batch.token)
    await desk.say("m2", keyword=True)
    desk.clock.advance(50)
    await desk.say("m3")
    desk.clock.advance(50)
    assert (await desk.take()).closed_ms == desk.clock() - 50


async def test_token_differs_after_a_rollback(desk: Desk):
    """The fence repeats after a rollback; the caller's random id keeps the old holder out."""
    await desk.say("m1")
    desk.clock.advance(WINDOW_MS)
    before = await dump(desk)
    old = await desk.take(caller="w1")
    await restore(desk, before)
    new = await desk.take(caller="w2")
    assert old.token.split(":")[0] == new.token.split(":")[0]
    assert await desk.store.ack(desk.ref(), old.token) == "lost"
    assert await desk.store.ack(desk.ref(), new.token) == "ok"


async def test_twelve_thousand_messages(open_desk):
    """Far more messages than Lua can unpack at once: ten thousand in one batch, the rest behind it."""
    desk = open_desk(message_buffer_max_messages=10_000, message_buffer_max_bytes=100_000_000, dedupe_ttl=60)
    batch = await desk.in_flight("m0")
    names = [f"m{i}" for i in range(1, 12_001)]
    for start in range(0, 12_000, 1_000):
        desk.clock.advance(61_000)
        await desk.say(*names[start : start + 1_000])
    await desk.store.ack(desk.ref(), batch.token)
    batch = await desk.take()
    assert ids(batch) == names[:10_000]
    await desk.store.ack(desk.ref(), batch.token)
    desk.clock.advance(WINDOW_MS)
    assert ids(await desk.take()) == names[10_000:]


async def test_claim_ends_a_pause_that_is_over(desk: Desk):
    """The claim at the end of a pause forgets it; a conversation that holds nothing is then idle."""
    until_ms = await desk.store.pause(ANA, 30_000)
    desk.clock.now_ms = until_ms
    assert await desk.claim() == ("empty", None, None)
    assert "paused_until_ms" not in await desk.conv()
    assert await desk.wake_ms() is None
    assert await desk.is_idle()


async def test_received_times_are_the_servers(desk: Desk):
    """Each message says when it was received, by the one clock."""
    received = []
    for name in ("m1", "m2"):
        received.append(desk.clock.advance(700))
        await desk.say(name, order_ms=1)
    desk.clock.advance(WINDOW_MS)
    batch = await desk.take()
    assert [stored.received_ms for stored in batch.messages] == received
    assert [json.loads(stored.payload)["message_id"] for stored in batch.messages] == ["m1", "m2"]


def body(batch: Batch) -> dict[str, object]:
    """Everything that must not change between two attempts: what the agent gets is made of it."""
    changing = ("token", "attempt", "failures", "answer")
    return {name: getattr(batch, name) for name in batch._fields if name not in changing}


async def dump(desk: Desk) -> dict[str, bytes]:
    """The state of everything, to go back to."""
    return {key: await desk.redis.dump(key) for key in await desk.all_keys()}


async def restore(desk: Desk, state: dict[str, bytes]) -> None:
    """Go back to an older state, as a failover that lost its last writes does."""
    await desk.clean()
    for key, value in state.items():
        await desk.redis.restore(key, 60_000 if ":timer:" in key or ":lock:" in key else 0, value)
