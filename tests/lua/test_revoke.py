"""revoke: the person deleted a message; it leaves the open burst."""

from __future__ import annotations

import pytest

from buffer.errors import StoreFull
from buffer.keys import fingerprint_of
from buffer.models import Change, Conversation, PauseMode
from tests.lua.aliases import NAMES, check_awake, check_one, deliver, link, said
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, Desk, ids
from tests.messages import message


async def revoke(desk: Desk, message_id: str, to: Conversation = ANA) -> str:
    return await desk.store.revoke(to, fingerprint_of(message_id))


async def revokes(desk: Desk) -> int:
    """How many messages the history records as revoked."""
    entries = [entry for entry in await desk.history() if entry.get("cause") == "revoke"]
    assert {entry["outcome"] for entry in entries} <= {"discarded"}
    return sum(entry["messages"] for entry in entries)


@pytest.mark.parametrize("gone", ["m1", "m2", "m3"])
async def test_while_buffered(desk: Desk, gone: str):
    """A buffered message is taken out, wherever it stands, and recorded; the others keep order and deadline."""
    await desk.say("m1", "m2", "m3", text="a" * 50)
    before, wake_ms = await desk.conv(), await desk.wake_ms()
    desk.clock.advance(1_000)
    assert await revoke(desk, gone) == "removed"
    after = await desk.conv()
    assert int(after.pop("bytes")) < int(before.pop("bytes"))
    assert (before.pop("depth"), after.pop("depth")) == ("3", "2")
    assert (after, await desk.wake_ms()) == (before, wake_ms)
    await check_awake(desk, ANA)
    assert said(await deliver(desk, ANA)) == [name for name in ("m1", "m2", "m3") if name != gone]
    assert (await revokes(desk), (await desk.counters())["discarded"]) == (1, 1)


async def test_last_of_the_burst(desk: Desk):
    """A burst that is emptied is not flushed: no wake entry, no timer, no call."""
    await desk.say("m1", "m2")
    await revoke(desk, "m1")
    await revoke(desk, "m2")
    await check_awake(desk, ANA)
    assert await desk.wake_ms() is None
    assert await desk.redis.exists(desk.key("buffer"), desk.key("timer")) == 0
    desk.clock.advance(WINDOW_MS)
    assert (await desk.due(), (await desk.claim()).status) == ([], "empty")
    assert await revokes(desk) == 2


async def test_new_burst_after_an_emptied_one(desk: Desk):
    """What is said after an emptied burst opens a window of its own; nothing of the old one counts."""
    await desk.say("m1", keyword=True)
    await revoke(desk, "m1")
    desk.clock.advance(2_000)
    [appended] = await desk.say("m2")
    assert appended == ("new", desk.clock() + WINDOW_MS, 1)
    desk.clock.advance(WINDOW_MS)
    batch = await desk.take()
    assert (ids(batch), batch.reason, batch.opened_ms) == (["m2"], "quiet", desk.clock() - WINDOW_MS)


async def test_fired_burst(desk: Desk):
    """A burst that was to be flushed at once and is emptied before its claim is not flushed, though dispatched."""
    await desk.say("m1", keyword=True)
    assert await desk.due() == [str(desk.ref())]
    await revoke(desk, "m1")
    assert (await desk.claim()).status == "empty"
    await check_awake(desk, ANA)


async def test_batch_in_flight_stays(desk: Desk):
    """Behind a batch in flight an emptied burst leaves the batch, its lease and its wake entry alone."""
    batch = await desk.in_flight("m1")
    wake_ms = await desk.wake_ms()
    await desk.say("m2")
    assert await revoke(desk, "m2") == "removed"
    assert await desk.wake_ms() == wake_ms
    assert await desk.store.renew(desk.ref(), batch.token) == "ok"
    desk.clock.advance(LEASE_MS)
    again = await desk.take(caller="w2")
    assert again.messages == batch.messages
    await desk.store.ack(desk.ref(), again.token)
    await check_awake(desk, ANA)
    assert await desk.wake_ms() is None


async def test_waiting_batch_stays(desk: Desk):
    """A batch that waits for its next attempt is still tried then."""
    batch = await desk.in_flight("m1")
    await desk.fail(batch.token, "retry", delay_ms=30_000)
    wake_ms = await desk.wake_ms()
    await desk.say("m2")
    await revoke(desk, "m2")
    assert await desk.wake_ms() == wake_ms
    assert said(await deliver(desk, ANA)) == ["m1"]


async def test_letter_asked_again_stays(desk: Desk):
    """A dead letter that was asked for again goes out although the burst behind it was emptied."""
    letter = await desk.bury("m1")
    await desk.say("m2")
    await desk.store.redrive(letter.flush_id)
    await revoke(desk, "m2")
    await check_awake(desk, ANA)
    assert said(await deliver(desk, ANA)) == ["m1"]


async def test_held_conversation(desk: Desk):
    """In a held conversation the message is taken out and the pause stays as it is."""
    until_ms = await desk.store.pause(ANA, 30_000)
    await desk.say("m1")
    assert await revoke(desk, "m1") == "removed"
    assert await desk.wake_ms() == until_ms
    desk.clock.now_ms = until_ms
    assert (await desk.claim()).status == "empty"


@pytest.mark.parametrize("state", ["in flight", "waiting", "dead", "delivered"])
async def test_late(desk: Desk, state: str):
    """After sealing a revoke is counted and changes nothing."""
    batch = await desk.in_flight("m1")
    if state == "waiting":
        await desk.fail(batch.token, "retry")
    elif state == "dead":
        await desk.fail(batch.token, "dead")
    elif state == "delivered":
        await desk.store.ack(desk.ref(), batch.token)
    assert await revoke(desk, "m1") == "late"
    assert (await desk.counters())["late_revokes"] == 1
    assert (await revokes(desk), await desk.redis.exists(desk.key("mark"))) == (0, 0)
    if state == "dead":
        await desk.store.redrive(batch.flush_id)
    desk.clock.advance(LEASE_MS)
    again = await desk.claim(caller="w2")
    assert (again.status, again.batch and again.batch.messages) == (
        ("empty", None) if state == "delivered" else ("batch", batch.messages)
    )


async def test_before_its_original(desk: Desk):
    """A revoke that overtook its message waits for it; the message is recorded as discarded, and remembered."""
    assert await revoke(desk, "m1") == "early"
    assert (await desk.wake_ms(), await desk.is_idle()) == (None, True)
    assert [a.status for a in await desk.say("m1")] == ["revoked"]
    assert await desk.redis.exists(desk.key("mark"), desk.key("buffer")) == 0
    await check_awake(desk, ANA)
    assert await desk.wake_ms() is None
    assert [a.status for a in await desk.say("m1")] == ["duplicate"]
    assert (await revokes(desk), (await desk.counters())["discarded"]) == (1, 1)
    assert (await desk.counters())["accepted"] == 0


async def test_before_its_original_in_an_open_burst(desk: Desk):
    """A message whose revoke was already there does not prolong the burst it would have joined."""
    [first] = await desk.say("m1")
    await revoke(desk, "m2")
    desk.clock.advance(3_000)
    await desk.say("m2")
    assert await desk.wake_ms() == first.deadline_ms
    assert said(await deliver(desk, ANA)) == ["m1"]


@pytest.mark.parametrize("when", ["before", "between", "after"])
async def test_revoke_and_edit(desk: Desk, when: str):
    """A revoked message stays revoked, in whatever order its edits arrive."""

    async def edit(at_ms: int) -> str:
        return await desk.store.edit(ANA, Change(fingerprint_of("m1"), at_ms, b'{"text":"novo"}'))

    if when == "before":
        assert await edit(1) == "early"
    assert await revoke(desk, "m1") == "early"
    if when == "between":
        assert await edit(2) == "older"
    await desk.say("m1")
    if when == "after":
        assert await edit(3) == "late"
    assert await deliver(desk, ANA) == []
    assert await revokes(desk) == 1


async def test_edited_message(desk: Desk):
    """An edited message is taken out with its edit: no byte of it counts any longer."""
    await desk.say("m1", "m2")
    for n in (1, 2):
        await desk.store.edit(ANA, Change(fingerprint_of("m1"), n, b'{"text":"%s"}' % (b"x" * 900)))
    await desk.store.edit(ANA, Change(fingerprint_of("m3"), 1, b'{"text":"cedo"}'))
    await desk.say("m3")
    for message_id in ("m1", "m3"):
        await revoke(desk, message_id)
        await check_awake(desk, ANA)
    assert said(await deliver(desk, ANA)) == ["m2"]


async def test_redelivered_after_its_revoke(desk: Desk):
    """A message that comes again after it was taken out is a duplicate and opens nothing."""
    await desk.say("m1")
    await revoke(desk, "m1")
    assert [a.status for a in await desk.say("m1")] == ["duplicate"]
    await check_awake(desk, ANA)
    assert await desk.wake_ms() is None


async def test_revoked_twice(desk: Desk):
    """The second time there is nothing to take out, and nothing more is recorded."""
    await desk.say("m1", "m2")
    assert [await revoke(desk, "m1") for _ in range(2)] == ["removed", "late"]
    assert (await revokes(desk), await desk.depth()) == (1, 1)
    assert [await revoke(desk, "m9") for _ in range(2)] == ["early", "early"]
    assert [a.status for a in await desk.say("m9")] == ["revoked"]
    assert await revokes(desk) == 2


async def test_only_its_own_message(desk: Desk):
    """Two messages with the same text are two: only the one that was deleted goes."""
    await desk.say("m1", "m2", text="ok")
    await desk.say("m1", to=NAMES[0])
    await revoke(desk, "m1")
    assert await desk.depth(NAMES[0]) == 1
    assert sorted(said(await deliver(desk, ANA, NAMES[0]))) == ["m1", "m2"]


async def test_taken_over_by_a_human(desk: Desk):
    """During a takeover the message is discarded already: a revoke is late, and one before it changes nothing."""
    await desk.store.pause(ANA, 10_000, PauseMode.TAKEOVER)
    await revoke(desk, "m2")
    await desk.say("m1", "m2")
    assert await revoke(desk, "m1") == "late"
    assert (await desk.counters())["discarded"] == 2
    assert await desk.redis.exists(desk.key("mark")) == 0


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("said_by", NAMES, ids=["said by phone", "said by lid"])
async def test_by_the_other_name(desk: Desk, said_by: Conversation, by: Conversation):
    """A revoke finds its message by either name of the person, before and after it was appended."""
    await link(desk, "m0")
    assert await revoke(desk, "m2", to=by) == "early"
    await desk.say("m1", "m2", to=said_by)
    assert await revoke(desk, "m1", to=by) == "removed"
    await check_one(desk)
    assert said(await deliver(desk)) == ["m0"]


@pytest.mark.parametrize("first", NAMES, ids=["phone first", "lid first"])
async def test_names_become_one(desk: Desk, first: Conversation):
    """A revoke that waits under one name is there for the message under the other, and goes before an edit."""
    other = NAMES[1 - NAMES.index(first)]
    await revoke(desk, "m1", to=other)
    await desk.store.edit(first, Change(fingerprint_of("m1"), desk.clock() + 9, b'{"text":"novo"}'))
    await desk.say("m2", to=first)
    await link(desk, "m3")
    assert [a.status for a in await desk.say("m1", to=first)] == ["revoked"]
    await check_one(desk)
    assert said(await deliver(desk)) == ["m2", "m3"]


async def test_empty_entries_are_not_mistaken(desk: Desk):
    """Taking one message out never takes a neighbour out, whatever their bytes."""
    entries = [message(f"m{n}", ANA)._replace(fingerprint=bytes(7) + bytes([n])) for n in range(4)]
    await desk.store.append(entries)
    assert await desk.store.revoke(ANA, entries[0].fingerprint) == "removed"
    assert said(await deliver(desk, ANA)) == ["m1", "m2", "m3"]


async def test_full_server(desk: Desk):
    """A full server still takes a message out: that makes room."""
    await desk.say("m1")
    await desk.redis.config_set("maxmemory", "1")
    try:
        assert await revoke(desk, "m1") == "removed"
        with pytest.raises(StoreFull):
            await desk.say("m2")
    finally:
        await desk.redis.config_set("maxmemory", "0")
    await check_awake(desk, ANA)
