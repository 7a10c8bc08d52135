"""fail: the batch was not delivered."""

from __future__ import annotations

import json

import pytest

from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, Desk, ids


async def test_retry_waits_and_comes_back_as_it_was(desk: Desk):
    """Nobody gets the batch before its time; then it is the same batch, one failure and one attempt later."""
    first = await desk.in_flight("m1")
    now_ms = desk.clock.advance(1_000)
    assert await desk.fail(first.token, "retry", delay_ms=5_000) == "ok"
    assert await desk.wake_ms() == now_ms + 5_000
    assert await desk.redis.exists(desk.key("lock")) == 0
    desk.clock.advance(4_999)
    assert await desk.claim(caller="w2") == ("busy", None, now_ms + 5_000)
    desk.clock.advance(1)
    second = await desk.take(caller="w2")
    assert (second.flush_id, second.messages) == (first.flush_id, first.messages)
    assert (second.attempt, second.failures) == (2, 1)


async def test_messages_during_the_wait_stay_behind(desk: Desk):
    """New messages neither join the sealed batch nor hurry it nor reset its attempts; they follow it."""
    first = await desk.in_flight("m1")
    await desk.fail(first.token, "retry", delay_ms=30_000)
    wake_ms = await desk.wake_ms()
    desk.clock.advance(1_000)
    await desk.say("m2")
    assert await desk.wake_ms() == wake_ms
    desk.clock.advance(30_000)
    second = await desk.take(caller="w2")
    assert (ids(second), second.failures) == (["m1"], 1)
    await desk.store.ack(desk.ref(), second.token)
    assert ids(await desk.take()) == ["m2"]


async def test_attempts_run_out(open_desk):
    """After the last attempt the batch is a dead letter and the next burst goes on."""
    desk = open_desk(agent_max_attempts=3)
    batch = await desk.in_flight("m1")
    for _ in range(2):
        assert await desk.fail(batch.token, "retry", delay_ms=1_000) == "ok"
        desk.clock.advance(1_000)
        batch = await desk.take()
    await desk.say("m2")
    assert await desk.fail(batch.token, "retry", delay_ms=1_000) == "dead"
    desk.clock.advance(WINDOW_MS)
    assert ids(await desk.take()) == ["m2"]


async def test_release_does_not_count(open_desk):
    """A hand-back at shutdown costs no attempt, however often; the batch is due at once."""
    desk = open_desk(agent_max_attempts=1)
    batch = await desk.in_flight("m1")
    for n in range(5):
        assert await desk.fail(batch.token, "release") == "ok"
        assert await desk.wake_ms() == desk.clock()
        again = await desk.take(caller=f"w{n}")
        assert (again.flush_id, again.failures) == (batch.flush_id, 0)
        batch = again
    assert (await desk.conv())["crashes"] == "0"


async def test_dead_letter_keeps_everything(desk: Desk):
    """A dead letter holds the whole batch: who, which messages, why, when, and the answer if there was one."""
    await desk.say("m1", name="Ana")
    desk.clock.advance(WINDOW_MS)
    batch = await desk.take()
    await desk.store.answered(desk.ref(), batch.token, b'{"reply":"x"}')
    stored = await desk.redis.lrange(desk.key("batch"), 0, -1)
    assert await desk.fail(batch.token, "dead", error="400 Bad Request") == "dead"
    letter = await desk.redis.hgetall(desk.store.keys.of(0, "letter", batch.flush_id))
    letter = {name.decode(): value.decode() for name, value in letter.items()}
    assert letter == {
        "conversation": desk.ref().hash,
        "ref": str(desk.ref()),
        **ANA._asdict(),
        "name": "Ana",
        "error": "400 Bad Request",
        "died_ms": str(desk.clock()),
        "messages": "1",
        "flush_id": batch.flush_id,
        "reason": "quiet",
        "closed_ms": str(batch.closed_ms),
        "separator": "\n",
        "claims": "1",
        "answer": '{"reply":"x"}',
    }
    assert await desk.redis.lrange(desk.store.keys.of(0, "remains", batch.flush_id), 0, -1) == stored
    assert await desk.redis.zscore(desk.partition_key("dead"), batch.flush_id) == desk.clock()


async def test_dead_letter_leaves_the_conversation_idle(desk: Desk):
    """With nothing behind it a dead batch leaves an idle conversation, and a line in the history."""
    batch = await desk.bury("m1")
    assert await desk.wake_ms() is None
    assert await desk.is_idle()
    assert await desk.redis.exists(desk.key("lock"), desk.key("batch")) == 0
    [entry] = await desk.history()
    assert (entry["outcome"], entry["flush_id"], entry["error"]) == ("dead", batch.flush_id, "refused")
    assert (await desk.counters())["dead"] == 1


@pytest.mark.parametrize(("mode", "outcome"), [("retry", "ok"), ("release", "ok"), ("dead", "dead")])
async def test_lost_reply(desk: Desk, mode: str, outcome: str):
    """A fail repeated after its reply was lost answers as the first time and counts once."""
    batch = await desk.in_flight("m1")
    assert await desk.fail(batch.token, mode, delay_ms=5_000) == outcome
    state = await desk.conv()
    desk.clock.advance(1_000)
    assert await desk.fail(batch.token, mode, delay_ms=5_000) == outcome
    assert await desk.conv() == state
    assert len(await desk.history()) == (1 if mode == "dead" else 0)


@pytest.mark.parametrize("mode", ["retry", "release", "dead"])
async def test_cancelled_batch(desk: Desk, mode: str):
    """A batch discarded while the agent worked ends as discarded, whatever became of the call."""
    batch = await desk.in_flight("m1")
    [behind] = await desk.say("m2")
    await desk.store.discard(ANA)
    [behind] = await desk.say("m3")
    for _ in range(2):
        assert await desk.fail(batch.token, mode) == "cancelled"
    assert await desk.redis.zcard(desk.partition_key("dead")) == 0
    assert (await desk.counters())["discarded"] == 2
    assert await desk.wake_ms() == behind.deadline_ms


async def test_late_failure(desk: Desk):
    """A fail after the lease's end counts while nobody else has claimed."""
    batch = await desk.in_flight("m1")
    desk.clock.advance(LEASE_MS * 2)
    assert await desk.fail(batch.token, "retry", delay_ms=1_000) == "ok"
    assert (await desk.conv())["failures"] == "1"


async def test_error_text_is_kept_as_written(desk: Desk):
    """An error with quotes, newlines and other scripts is stored whole and stays valid JSON in the history."""
    error = 'HTTP 400: {"erro": "não"}\n\t\u0000 \U0001f4a5'
    batch = await desk.in_flight("m1")
    await desk.fail(batch.token, "dead", error=error)
    assert (await desk.history())[0]["error"] == error
    raw = await desk.redis.lindex(desk.partition_key("history"), 0)
    assert json.loads(raw)["error"] == error
