"""fail: the batch was not delivered."""

from __future__ import annotations

import pytest

from buffer.models import Claim
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids


async def test_retry_waits_and_comes_back_as_it_was(driver: ScriptDriver):
    """No claim gets the batch before its time. Then it is the same batch, one failure and one attempt later."""
    first = await driver.in_flight("m1")
    now_ms = driver.clock.advance(1_000)
    assert await driver.fail(first.token, "retry", delay_ms=5_000) == "ok"
    assert await driver.wake_ms() == now_ms + 5_000
    assert await driver.redis.exists(driver.key("lock")) == 0
    driver.clock.advance(4_999)
    assert await driver.claim(caller="w2") == Claim("busy", None, now_ms + 5_000)
    driver.clock.advance(1)
    second = await driver.claim_batch(caller="w2")
    assert (second.flush_id, second.messages) == (first.flush_id, first.messages)
    assert (second.attempt, second.failures) == (2, 1)


async def test_messages_during_the_wait_stay_behind(driver: ScriptDriver):
    """New messages neither join the sealed batch nor change its wake entry or attempts. They follow it."""
    first = await driver.in_flight("m1")
    await driver.fail(first.token, "retry", delay_ms=30_000)
    wake_ms = await driver.wake_ms()
    driver.clock.advance(1_000)
    await driver.append("m2")
    assert await driver.wake_ms() == wake_ms
    driver.clock.advance(30_000)
    second = await driver.claim_batch(caller="w2")
    assert (ids(second), second.failures) == (["m1"], 1)
    await driver.store.ack(driver.ref(), second.token)
    assert ids(await driver.claim_batch()) == ["m2"]


async def test_attempts_run_out(open_driver):
    """After the last attempt the batch is a dead letter and the next burst is delivered."""
    driver = open_driver(agent_max_attempts=3)
    batch = await driver.in_flight("m1")
    for _ in range(2):
        assert await driver.fail(batch.token, "retry", delay_ms=1_000) == "ok"
        driver.clock.advance(1_000)
        batch = await driver.claim_batch()
    await driver.append("m2")
    assert await driver.fail(batch.token, "retry", delay_ms=1_000) == "dead"
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == ["m2"]


async def test_release_does_not_count(open_driver):
    """A release at shutdown costs no attempt, however often, and the batch is due at once."""
    driver = open_driver(agent_max_attempts=1)
    batch = await driver.in_flight("m1")
    for n in range(5):
        assert await driver.fail(batch.token, "release") == "ok"
        assert await driver.wake_ms() == driver.clock()
        again = await driver.claim_batch(caller=f"w{n}")
        assert (again.flush_id, again.failures) == (batch.flush_id, 0)
        batch = again
    assert (await driver.conv())["crashes"] == "0"


async def test_dead_letter_keeps_everything(driver: ScriptDriver):
    """A dead letter holds the whole batch: conversation, messages, error, time, and the answer if there was one."""
    await driver.append("m1", name="Ana")
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    await driver.store.answered(driver.ref(), batch.token, b'{"reply":"x"}')
    stored = await driver.redis.lrange(driver.key("batch"), 0, -1)
    assert await driver.fail(batch.token, "dead", error="400 Bad Request") == "dead"
    letter = await driver.redis.hgetall(driver.store.keys.of(0, "letter", batch.flush_id))
    span, answered = letter.pop(b"span"), letter.pop(b"answered").decode()
    assert int.from_bytes(span[:6]) == batch.closed_ms - WINDOW_MS
    assert answered.split()[0] == str(driver.clock())
    letter = {name.decode(): value.decode() for name, value in letter.items()}
    assert letter == {
        "conversation": driver.ref().hash,
        "ref": str(driver.ref()),
        **ANA._asdict(),
        "name": "Ana",
        "error": "400 Bad Request",
        "died_ms": str(driver.clock()),
        "messages": "1",
        "flush_id": batch.flush_id,
        "reason": "quiet",
        "closed_ms": str(batch.closed_ms),
        "separator": "\n",
        "claims": "1",
        "answer": '{"reply":"x"}',
    }
    assert await driver.redis.lrange(driver.store.keys.of(0, "remains", batch.flush_id), 0, -1) == stored
    assert await driver.redis.zscore(driver.partition_key("dead"), batch.flush_id) == driver.clock()


async def test_dead_letter_leaves_the_conversation_idle(driver: ScriptDriver):
    """A dead letter without a burst behind it leaves an idle conversation and a history entry."""
    batch = await driver.make_dead_letter("m1")
    assert await driver.wake_ms() is None
    assert await driver.is_idle()
    assert await driver.redis.exists(driver.key("lock"), driver.key("batch")) == 0
    [entry] = await driver.history()
    assert (entry["outcome"], entry["flush_id"], entry["error"]) == ("dead", batch.flush_id, "refused")
    assert (await driver.counters())["dead_letters"] == 1


@pytest.mark.parametrize(("mode", "outcome"), [("retry", "ok"), ("release", "ok"), ("dead", "dead")])
async def test_lost_reply(driver: ScriptDriver, mode: str, outcome: str):
    """A fail repeated after its reply was lost returns the same as the first and counts once."""
    batch = await driver.in_flight("m1")
    assert await driver.fail(batch.token, mode, delay_ms=5_000) == outcome
    state = await driver.conv()
    driver.clock.advance(1_000)
    assert await driver.fail(batch.token, mode, delay_ms=5_000) == outcome
    assert await driver.conv() == state
    assert len(await driver.history()) == (1 if mode == "dead" else 0)


@pytest.mark.parametrize("mode", ["retry", "release", "dead"])
async def test_cancelled_batch(driver: ScriptDriver, mode: str):
    """A batch that was cancelled during the call ends as discarded, in every mode of fail."""
    batch = await driver.in_flight("m1")
    [behind] = await driver.append("m2")
    await driver.store.discard(ANA)
    [behind] = await driver.append("m3")
    for _ in range(2):
        assert await driver.fail(batch.token, mode) == "cancelled"
    assert await driver.redis.zcard(driver.partition_key("dead")) == 0
    assert (await driver.counters())["messages_discarded"] == 2
    assert await driver.wake_ms() == behind.deadline_ms


async def test_late_failure(driver: ScriptDriver):
    """A fail after the end of the lease counts while no other worker has claimed the batch."""
    batch = await driver.in_flight("m1")
    driver.clock.advance(LEASE_MS * 2)
    assert await driver.fail(batch.token, "retry", delay_ms=1_000) == "ok"
    assert (await driver.conv())["failures"] == "1"


async def test_error_text_is_kept_as_written(driver: ScriptDriver):
    """An error with quotes, line feeds and any script is stored whole in the history."""
    error = 'HTTP 400: {"erro": "não"}\n\t\u0000 \U0001f4a5'
    batch = await driver.in_flight("m1")
    await driver.fail(batch.token, "dead", error=error)
    assert (await driver.history())[0]["error"] == error
