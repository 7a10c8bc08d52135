"""claim: the lease on a conversation's batch, and the sealing of a due burst."""

from __future__ import annotations

import json
import re

import pytest

from buffer.models import Batch, Claim, EndedBatch
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids


async def test_nothing_to_claim(driver: ScriptDriver):
    """The claim of an unknown conversation returns empty and leaves no trace."""
    assert await driver.claim() == Claim("empty", None, None)
    assert await driver.all_keys() == []


async def test_early_puts_the_entry_back(driver: ScriptDriver):
    """A millisecond before the deadline nothing is sealed, and the wake entry is the deadline again."""
    [appended] = await driver.append("m1")
    driver.clock.advance(WINDOW_MS - 1)
    await driver.redis.zadd(driver.partition_key("wake"), {driver.ref().hash: driver.clock()})
    await driver.dispatch()
    assert await driver.claim() == Claim("early", None, appended.deadline_ms)
    assert await driver.wake_ms() == appended.deadline_ms
    assert await driver.depth() == 1


async def test_batch_at_the_deadline(driver: ScriptDriver):
    """At the deadline the claim seals the burst, closes the buffer and returns everything a flush needs."""
    opened_ms = driver.clock()
    await driver.append("m1", name="Ana")
    last_ms = driver.clock.advance(2_000)
    await driver.append("m2")
    now_ms = driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    assert ids(batch) == ["m1", "m2"]
    assert (batch.opened_ms, batch.last_ms, batch.closed_ms) == (opened_ms, last_ms, now_ms)
    assert (batch.conversation, batch.name) == (ANA, "Ana")
    assert batch.flush_id.startswith(f"{driver.ref()}-")
    assert (batch.attempt, batch.failures, batch.reason) == (1, 0, "quiet")
    assert (batch.separator, batch.answer) == ("\n", None)
    assert await driver.depth() == 0
    assert await driver.redis.exists(driver.key("timer")) == 0


async def test_flush_id_is_fit_for_a_header(driver: ScriptDriver):
    """The flush_id begins with the conversation's reference and has only letters, digits, `-` and `_`."""
    batch = await driver.in_flight("m1")
    assert re.fullmatch(r"[A-Za-z0-9_-]+", batch.flush_id)
    assert batch.flush_id.startswith(f"{driver.ref()}-")


async def test_two_bursts_have_two_flush_ids(driver: ScriptDriver):
    """The next burst is another flush, and its generation is later."""
    first = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), first.token)
    second = await driver.in_flight("m2")
    assert second.flush_id != first.flush_id


async def test_second_worker_is_told_busy(driver: ScriptDriver):
    """While a lease is live another claim returns busy, and the wake entry is the end of the lease."""
    await driver.in_flight("m1")
    until_ms = driver.clock() + LEASE_MS
    driver.clock.advance(LEASE_MS - 1)
    assert await driver.claim(caller="w2") == Claim("busy", None, until_ms)
    assert await driver.wake_ms() == until_ms


async def test_repeated_claim_returns_the_same_batch(driver: ScriptDriver):
    """A claim repeated by the same caller after a lost reply returns the same batch, token and attempt."""
    first = await driver.in_flight("m1")
    driver.clock.advance(1_000)
    assert await driver.claim_batch(caller="w1") == first


async def test_lock_mirrors_the_lease(driver: ScriptDriver):
    """The lock key holds the token and expires with the lease, as the conv hash says."""
    batch = await driver.in_flight("m1")
    assert (await driver.redis.get(driver.key("lock"))).decode() == batch.token
    assert LEASE_MS - 5_000 < await driver.redis.pttl(driver.key("lock")) <= LEASE_MS
    conv = await driver.conv()
    assert (conv["token"], int(conv["lease_until_ms"])) == (batch.token, driver.clock() + LEASE_MS)


async def test_lock_that_outlived_its_lease_is_replaced(driver: ScriptDriver):
    """The conv hash decides: a lock that remains after the end of its lease does not stop the next claim."""
    await driver.in_flight("m1")
    driver.clock.advance(LEASE_MS)
    assert await driver.redis.exists(driver.key("lock"))
    batch = await driver.claim_batch(caller="w2")
    assert (await driver.redis.get(driver.key("lock"))).decode() == batch.token


async def test_lost_lock_gives_nothing_away(driver: ScriptDriver):
    """The conv hash decides: the lease is valid without the lock key."""
    await driver.in_flight("m1")
    await driver.redis.delete(driver.key("lock"))
    assert (await driver.claim(caller="w2")).status == "busy"


async def test_batch_of_a_dead_worker_is_claimed_as_it_was(open_driver):
    """After the lease's end a claim returns the same batch with the same id, even under other settings."""
    driver = open_driver()
    await driver.append("m1", "m2", name="Ana")
    driver.clock.advance(WINDOW_MS)
    first = await driver.claim_batch()
    await driver.append("m3", name="Ana Maria")
    driver.clock.advance(LEASE_MS)
    changed = open_driver(message_buffer_max_messages=1, message_buffer_separator=" ")
    second = await changed.claim_batch(caller="w2")
    assert second.token != first.token
    assert second.attempt == 2
    assert body(second) == body(first)


async def test_crashes_are_no_failures(driver: ScriptDriver):
    """A crash counts as an attempt, but not as one of the failures that the agent is granted."""
    await driver.in_flight("m1")
    driver.clock.advance(LEASE_MS)
    batch = await driver.claim_batch(caller="w2")
    assert (batch.attempt, batch.failures) == (2, 0)
    assert (await driver.conv())["crashes"] == "1"


async def test_twenty_crashes_are_a_dead_letter(driver: ScriptDriver):
    """A batch whose worker died 20 times is a dead letter, and the next burst is delivered."""
    first = await driver.in_flight("m1")
    for n in range(19):
        driver.clock.advance(LEASE_MS)
        claim = await driver.claim(caller=f"w{n}")
        driver.clock.now_ms = claim.until_ms or driver.clock()
        assert (await driver.claim_batch(caller=f"w{n}")).flush_id == first.flush_id
    await driver.append("m2")
    driver.clock.advance(LEASE_MS)
    claim = await driver.claim(caller="last")
    assert ids(claim.batch) == ["m2"]
    assert claim.ended == EndedBatch(
        "dead", first.flush_id, 1, 20, "the worker died 20 times with this batch", first.conversation
    )
    [letter] = await driver.redis.zrange(driver.partition_key("dead"), 0, -1)
    assert letter.decode() == first.flush_id
    assert "20 times" in (await driver.history())[0]["error"]


async def test_order_is_by_timestamp_then_arrival(driver: ScriptDriver):
    """Gateway timestamps order the messages, then arrival. Without a timestamp the time of receipt counts."""
    t = driver.clock()
    await driver.append("late", order_ms=t + 500)
    await driver.append("first", order_ms=t - 9_000)
    await driver.append("second", "third", order_ms=t - 8_000)
    await driver.append("received")
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == ["first", "second", "third", "received", "late"]


@pytest.mark.parametrize(
    ("settings", "size"),
    [({"message_buffer_max_messages": 3}, 60), ({"message_buffer_max_bytes": 300}, 100)],
    ids=["messages", "bytes"],
)
async def test_remainder_is_a_window_of_its_own(open_driver, settings, size):
    """The messages that do not fit into a batch become a new window that opened at the first of them."""
    driver = open_driver(**settings)
    first = await driver.in_flight("m0")
    received = {}
    for name in ("m1", "m2", "m3", "m4"):
        received[name] = driver.clock.advance(1_000)
        await driver.append(name, payload=json.dumps({"message_id": name}).ljust(size).encode())
    await driver.store.ack(driver.ref(), first.token)
    second = await driver.claim_batch()
    assert ids(second) == ["m1", "m2", "m3"]
    assert second.reason in ("max_messages", "max_bytes")
    assert int((await driver.conv())["opened_ms"]) == received["m4"]
    await driver.store.ack(driver.ref(), second.token)
    assert await driver.wake_ms() == received["m4"] + WINDOW_MS
    assert (await driver.claim()).status == "early"
    driver.clock.now_ms = received["m4"] + WINDOW_MS
    third = await driver.claim_batch()
    assert (ids(third), third.reason, third.opened_ms) == (["m4"], "quiet", received["m4"])


async def test_remainder_that_is_full_again_is_due_at_once(open_driver):
    """With a cap of three, seven messages are two full batches now and a last one after its window."""
    driver = open_driver(message_buffer_max_messages=3)
    batch = await driver.in_flight("m0")
    await driver.append(*(f"m{i}" for i in range(1, 8)))
    taken = []
    for _ in range(2):
        await driver.store.ack(driver.ref(), batch.token)
        batch = await driver.claim_batch()
        taken.append((ids(batch), batch.reason))
    await driver.store.ack(driver.ref(), batch.token)
    assert taken == [(["m1", "m2", "m3"], "max_messages"), (["m4", "m5", "m6"], "max_messages")]
    assert (await driver.claim()).status == "early"


async def test_keyword_in_the_remainder_fires(open_driver):
    """A flush keyword that did not fit flushes its own window at once."""
    driver = open_driver(message_buffer_max_messages=2)
    batch = await driver.in_flight("m0")
    await driver.append("m1", "m2")
    await driver.append("m3", keyword=True)
    await driver.store.ack(driver.ref(), batch.token)
    batch = await driver.claim_batch()
    assert ids(batch) == ["m1", "m2"]
    await driver.store.ack(driver.ref(), batch.token)
    batch = await driver.claim_batch()
    assert (ids(batch), batch.reason) == (["m3"], "keyword")


async def test_remainder_is_opened_at_its_first_message_for_the_longest_wait(open_driver):
    """The longest wait of a remainder counts from its own first message."""
    driver = open_driver(message_buffer_max_messages=1, message_buffer_timeout=8, message_buffer_max_wait=10)
    batch = await driver.in_flight("m0")
    await driver.append("m1")
    opened_ms = driver.clock.advance(1_000)
    await driver.append("m2")
    more = open_driver(message_buffer_max_messages=20, message_buffer_max_wait=10)
    await driver.store.ack(driver.ref(), batch.token)
    batch = await driver.claim_batch()
    driver.clock.advance(5_000)
    await more.append("m3")
    await more.store.ack(driver.ref(), batch.token)
    assert ids(batch) == ["m1"]
    assert int((await driver.conv())["opened_ms"]) == opened_ms


@pytest.mark.parametrize("rolled_back", ["seal", "ack"])
async def test_flush_id_is_the_same_after_a_rollback(driver: ScriptDriver, rolled_back: str):
    """A failover that loses the seal or the ack gives the same flush_id for the same messages again."""
    await driver.append("m1", "m2")
    driver.clock.advance(WINDOW_MS)
    before_seal = await dump(driver)
    first = await driver.claim_batch()
    before_ack = await dump(driver)
    await driver.store.ack(driver.ref(), first.token)
    await restore(driver, before_seal if rolled_back == "seal" else before_ack)
    driver.clock.advance(LEASE_MS + 123)
    second = await driver.claim_batch(caller="w2")
    assert body(second) == body(first)
    assert second.token != first.token


async def test_burst_is_closed_at_its_deadline(driver: ScriptDriver):
    """`closed_ms` is the end of the window, not the time of the claim. A fired burst takes later messages."""
    [appended] = await driver.append("m1")
    driver.clock.now_ms = appended.deadline_ms + 700
    batch = await driver.claim_batch()
    assert batch.closed_ms == appended.deadline_ms
    await driver.store.ack(driver.ref(), batch.token)
    await driver.append("m2", keyword=True)
    driver.clock.advance(50)
    await driver.append("m3")
    driver.clock.advance(50)
    assert (await driver.claim_batch()).closed_ms == driver.clock() - 50


async def test_token_differs_after_a_rollback(driver: ScriptDriver):
    """After a rollback the fence repeats, and the caller's random id still excludes the old holder."""
    await driver.append("m1")
    driver.clock.advance(WINDOW_MS)
    before = await dump(driver)
    old = await driver.claim_batch(caller="w1")
    await restore(driver, before)
    new = await driver.claim_batch(caller="w2")
    assert old.token.split(":")[0] == new.token.split(":")[0]
    assert await driver.store.ack(driver.ref(), old.token) == "lost"
    assert await driver.store.ack(driver.ref(), new.token) == "ok"


async def test_twelve_thousand_messages(open_driver):
    """More messages than Lua can unpack at once: ten thousand are one batch, the rest is the next."""
    caps = {"message_buffer_max_messages": 10_000, "message_buffer_max_bytes": 100_000_000}
    driver = open_driver(**caps, message_buffer_max_pending=20_000, dedupe_ttl=60)
    batch = await driver.in_flight("m0")
    names = [f"m{i}" for i in range(1, 12_001)]
    for start in range(0, 12_000, 1_000):
        driver.clock.advance(61_000)
        await driver.append(*names[start : start + 1_000])
    await driver.store.ack(driver.ref(), batch.token)
    batch = await driver.claim_batch()
    assert ids(batch) == names[:10_000]
    await driver.store.ack(driver.ref(), batch.token)
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == names[10_000:]


async def test_claim_ends_a_pause_that_is_over(driver: ScriptDriver):
    """The claim at the end of a pause removes it. A conversation that holds nothing is then idle."""
    until_ms = await driver.store.pause(ANA, 30_000)
    driver.clock.now_ms = until_ms
    assert await driver.claim() == Claim("empty", None, None)
    assert "paused_until_ms" not in await driver.conv()
    assert await driver.wake_ms() is None
    assert await driver.is_idle()


async def test_received_times_are_the_servers(driver: ScriptDriver):
    """Each message has its time of receipt, by the server's clock."""
    received = []
    for name in ("m1", "m2"):
        received.append(driver.clock.advance(700))
        await driver.append(name, order_ms=1)
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    assert [stored.received_ms for stored in batch.messages] == received
    assert [stored.fields["message_id"] for stored in batch.messages] == ["m1", "m2"]


def body(batch: Batch) -> dict[str, object]:
    """Return everything that must not change between two attempts. The agent's request is made of it."""
    changing = ("token", "attempt", "failures", "crashes", "answer")
    return {name: getattr(batch, name) for name in batch._fields if name not in changing}


async def dump(driver: ScriptDriver) -> dict[str, bytes]:
    """Return the state of all keys."""
    return {key: await driver.redis.dump(key) for key in await driver.all_keys()}


async def restore(driver: ScriptDriver, state: dict[str, bytes]) -> None:
    """Restore an older state, as a failover that lost its last writes does."""
    await driver.clean()
    for key, value in state.items():
        await driver.redis.restore(key, 60_000 if ":timer:" in key or ":lock:" in key else 0, value)
