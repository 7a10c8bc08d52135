"""revoke: the person deleted a message; it leaves the open burst."""

from __future__ import annotations

import pytest

from buffer.errors import StoreFull
from buffer.keys import fingerprint_of
from buffer.models import Change, Conversation, PauseMode
from tests.lua.aliases import NAMES, check_awake, check_one, deliver, link, said
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids
from tests.messages import message


async def test_all_parts_leave_the_burst(driver: ScriptDriver):
    """A revoke takes along the other parts of its message that are in the burst, and leaves no pending change."""
    await driver.append("m1", "m2", "m2#1", "m2#2", "m3")
    parts = [fingerprint_of(name) for name in ("m2", "m2#1", "m2#2", "m2#3")]
    assert await driver.store.revoke(ANA, *parts) == "removed"
    assert not await driver.redis.exists(driver.key("mark"))
    assert await driver.depth() == 2
    [record] = await driver.history()
    assert (record["cause"], record["messages"]) == ("revoke", 3)
    assert (await driver.counters())["messages_discarded"] == 3
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == ["m1", "m3"]


async def test_parts_are_revoked_before_they_come(driver: ScriptDriver):
    """A revoke that overtakes its message holds for all of its parts."""
    assert await driver.store.revoke(ANA, *map(fingerprint_of, ("m1", "m1#1", "m1#2"))) == "early"
    assert [one.status for one in await driver.append("m1", "m1#1")] == ["revoked", "revoked"]


async def test_parts_that_are_sealed(driver: ScriptDriver):
    """If the message is sealed, the revoke is late, and waits for no part."""
    await driver.in_flight("m1", "m1#1")
    assert await driver.store.revoke(ANA, *map(fingerprint_of, ("m1", "m1#1", "m1#2"))) == "late"
    assert not await driver.redis.exists(driver.key("mark"))


async def revoke(driver: ScriptDriver, message_id: str, to: Conversation = ANA) -> str:
    return await driver.store.revoke(to, fingerprint_of(message_id))


async def revokes(driver: ScriptDriver) -> int:
    """Return how many messages the history records as revoked."""
    entries = [entry for entry in await driver.history() if entry.get("cause") == "revoke"]
    assert {entry["outcome"] for entry in entries} <= {"discarded"}
    return sum(entry["messages"] for entry in entries)


@pytest.mark.parametrize("gone", ["m1", "m2", "m3"])
async def test_while_buffered(driver: ScriptDriver, gone: str):
    """A buffered message is removed in any position and recorded. The others keep order and deadline."""
    await driver.append("m1", "m2", "m3", text="a" * 50)
    before, wake_ms = await driver.conv(), await driver.wake_ms()
    driver.clock.advance(1_000)
    assert await revoke(driver, gone) == "removed"
    after = await driver.conv()
    assert int(after.pop("bytes")) < int(before.pop("bytes"))
    assert (before.pop("depth"), after.pop("depth")) == ("3", "2")
    assert (after, await driver.wake_ms()) == (before, wake_ms)
    await check_awake(driver, ANA)
    assert said(await deliver(driver, ANA)) == [name for name in ("m1", "m2", "m3") if name != gone]
    assert (await revokes(driver), (await driver.counters())["messages_discarded"]) == (1, 1)


async def test_last_of_the_burst(driver: ScriptDriver):
    """An emptied burst is not flushed: no wake entry, no timer, no call."""
    await driver.append("m1", "m2")
    await revoke(driver, "m1")
    await revoke(driver, "m2")
    await check_awake(driver, ANA)
    assert await driver.wake_ms() is None
    assert await driver.redis.exists(driver.key("buffer"), driver.key("timer")) == 0
    driver.clock.advance(WINDOW_MS)
    assert (await driver.dispatch(), (await driver.claim()).status) == ([], "empty")
    assert await revokes(driver) == 2


async def test_new_burst_after_an_emptied_one(driver: ScriptDriver):
    """A message after an emptied burst opens a new window, and nothing of the old one counts."""
    await driver.append("m1", keyword=True)
    await revoke(driver, "m1")
    driver.clock.advance(2_000)
    [appended] = await driver.append("m2")
    assert appended == ("new", driver.clock() + WINDOW_MS, 1)
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    assert (ids(batch), batch.reason, batch.opened_ms) == (["m2"], "quiet", driver.clock() - WINDOW_MS)


async def test_fired_burst(driver: ScriptDriver):
    """A fired burst that is emptied before its claim is not flushed, though it was dispatched."""
    await driver.append("m1", keyword=True)
    assert await driver.dispatch() == [driver.ref()]
    await revoke(driver, "m1")
    assert (await driver.claim()).status == "empty"
    await check_awake(driver, ANA)


async def test_batch_in_flight_stays(driver: ScriptDriver):
    """Emptying the burst behind a batch in flight changes neither the batch nor its lease nor its wake entry."""
    batch = await driver.in_flight("m1")
    wake_ms = await driver.wake_ms()
    await driver.append("m2")
    assert await revoke(driver, "m2") == "removed"
    assert await driver.wake_ms() == wake_ms
    assert await driver.store.renew(driver.ref(), batch.token) == "ok"
    driver.clock.advance(LEASE_MS)
    again = await driver.claim_batch(caller="w2")
    assert again.messages == batch.messages
    await driver.store.ack(driver.ref(), again.token)
    await check_awake(driver, ANA)
    assert await driver.wake_ms() is None


async def test_waiting_batch_stays(driver: ScriptDriver):
    """A batch that waits for its next attempt is still attempted then."""
    batch = await driver.in_flight("m1")
    await driver.fail(batch.token, "retry", delay_ms=30_000)
    wake_ms = await driver.wake_ms()
    await driver.append("m2")
    await revoke(driver, "m2")
    assert await driver.wake_ms() == wake_ms
    assert said(await deliver(driver, ANA)) == ["m1"]


async def test_redriven_dead_letter_stays(driver: ScriptDriver):
    """A redriven dead letter is delivered although the burst behind it was emptied."""
    letter = await driver.make_dead_letter("m1")
    await driver.append("m2")
    await driver.store.redrive(letter.flush_id)
    await revoke(driver, "m2")
    await check_awake(driver, ANA)
    assert said(await deliver(driver, ANA)) == ["m1"]


async def test_held_conversation(driver: ScriptDriver):
    """In a paused conversation the message is removed and the pause stays."""
    until_ms = await driver.store.pause(ANA, 30_000)
    await driver.append("m1")
    assert await revoke(driver, "m1") == "removed"
    assert await driver.wake_ms() == until_ms
    driver.clock.now_ms = until_ms
    assert (await driver.claim()).status == "empty"


@pytest.mark.parametrize("state", ["in flight", "waiting", "dead", "delivered"])
async def test_late(driver: ScriptDriver, state: str):
    """A revoke after the sealing is counted and changes nothing."""
    batch = await driver.in_flight("m1")
    if state == "waiting":
        await driver.fail(batch.token, "retry")
    elif state == "dead":
        await driver.fail(batch.token, "dead")
    elif state == "delivered":
        await driver.store.ack(driver.ref(), batch.token)
    assert await revoke(driver, "m1") == "late"
    assert (await driver.counters())["late_revokes"] == 1
    assert (await revokes(driver), await driver.redis.exists(driver.key("mark"))) == (0, 0)
    if state == "dead":
        await driver.store.redrive(batch.flush_id)
    driver.clock.advance(LEASE_MS)
    again = await driver.claim(caller="w2")
    assert (again.status, again.batch and again.batch.messages) == (
        ("empty", None) if state == "delivered" else ("batch", batch.messages)
    )


async def test_before_its_original(driver: ScriptDriver):
    """A revoke before its message is pending. The message is then recorded as discarded and added to the seen set."""
    assert await revoke(driver, "m1") == "early"
    assert (await driver.wake_ms(), await driver.is_idle()) == (None, True)
    assert [a.status for a in await driver.append("m1")] == ["revoked"]
    assert await driver.redis.exists(driver.key("mark"), driver.key("buffer")) == 0
    await check_awake(driver, ANA)
    assert await driver.wake_ms() is None
    assert [a.status for a in await driver.append("m1")] == ["duplicate"]
    assert (await revokes(driver), (await driver.counters())["messages_discarded"]) == (1, 1)
    assert (await driver.counters())["messages_accepted"] == 0


async def test_before_its_original_in_an_open_burst(driver: ScriptDriver):
    """A message with a pending revoke does not prolong the open burst."""
    [first] = await driver.append("m1")
    await revoke(driver, "m2")
    driver.clock.advance(3_000)
    await driver.append("m2")
    assert await driver.wake_ms() == first.deadline_ms
    assert said(await deliver(driver, ANA)) == ["m1"]


@pytest.mark.parametrize("when", ["before", "between", "after"])
async def test_revoke_and_edit(driver: ScriptDriver, when: str):
    """A revoked message stays revoked, in whatever order its edits arrive."""

    async def edit(at_ms: int) -> str:
        return await driver.store.edit(ANA, Change(fingerprint_of("m1"), at_ms, b'{"text":"novo"}'))

    if when == "before":
        assert await edit(1) == "early"
    assert await revoke(driver, "m1") == "early"
    if when == "between":
        assert await edit(2) == "older"
    await driver.append("m1")
    if when == "after":
        assert await edit(3) == "late"
    assert await deliver(driver, ANA) == []
    assert await revokes(driver) == 1


async def test_edited_message(driver: ScriptDriver):
    """An edited message is removed with its edit, and no byte of it counts any longer."""
    await driver.append("m1", "m2")
    for n in (1, 2):
        await driver.store.edit(ANA, Change(fingerprint_of("m1"), n, b'{"text":"%s"}' % (b"x" * 900)))
    await driver.store.edit(ANA, Change(fingerprint_of("m3"), 1, b'{"text":"cedo"}'))
    await driver.append("m3")
    for message_id in ("m1", "m3"):
        await revoke(driver, message_id)
        await check_awake(driver, ANA)
    assert said(await deliver(driver, ANA)) == ["m2"]


async def test_redelivered_after_its_revoke(driver: ScriptDriver):
    """A message that comes again after its revoke is a duplicate and opens nothing."""
    await driver.append("m1")
    await revoke(driver, "m1")
    assert [a.status for a in await driver.append("m1")] == ["duplicate"]
    await check_awake(driver, ANA)
    assert await driver.wake_ms() is None


async def test_revoked_twice(driver: ScriptDriver):
    """A second revoke removes and records nothing."""
    await driver.append("m1", "m2")
    assert [await revoke(driver, "m1") for _ in range(2)] == ["removed", "late"]
    assert (await revokes(driver), await driver.depth()) == (1, 1)
    assert [await revoke(driver, "m9") for _ in range(2)] == ["early", "early"]
    assert [a.status for a in await driver.append("m9")] == ["revoked"]
    assert await revokes(driver) == 2


async def test_only_its_own_message(driver: ScriptDriver):
    """Of two messages with the same text only the revoked one is removed."""
    await driver.append("m1", "m2", text="ok")
    await driver.append("m1", to=NAMES[0])
    await revoke(driver, "m1")
    assert await driver.depth(NAMES[0]) == 1
    assert sorted(said(await deliver(driver, ANA, NAMES[0]))) == ["m1", "m2"]


async def test_taken_over_by_a_human(driver: ScriptDriver):
    """During a takeover the message is discarded already: a revoke after it is late, one before it changes nothing."""
    await driver.store.pause(ANA, 10_000, PauseMode.TAKEOVER)
    await revoke(driver, "m2")
    await driver.append("m1", "m2")
    assert await revoke(driver, "m1") == "late"
    assert (await driver.counters())["messages_discarded"] == 2
    assert await driver.redis.exists(driver.key("mark")) == 0


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("said_by", NAMES, ids=["said by phone", "said by lid"])
async def test_by_alias(driver: ScriptDriver, said_by: Conversation, by: Conversation):
    """A revoke finds its message by either peer of the person, before and after the append."""
    await link(driver, "m0")
    assert await revoke(driver, "m2", to=by) == "early"
    await driver.append("m1", "m2", to=said_by)
    assert await revoke(driver, "m1", to=by) == "removed"
    await check_one(driver)
    assert said(await deliver(driver)) == ["m0"]


@pytest.mark.parametrize("first", NAMES, ids=["phone first", "lid first"])
async def test_merged_conversations(driver: ScriptDriver, first: Conversation):
    """A pending revoke of one conversation is there for the message under the other peer, and precedes an edit."""
    other = NAMES[1 - NAMES.index(first)]
    await revoke(driver, "m1", to=other)
    await driver.store.edit(first, Change(fingerprint_of("m1"), driver.clock() + 9, b'{"text":"novo"}'))
    await driver.append("m2", to=first)
    await link(driver, "m3")
    assert [a.status for a in await driver.append("m1", to=first)] == ["revoked"]
    await check_one(driver)
    assert said(await deliver(driver)) == ["m2", "m3"]


async def test_empty_entries_are_not_mistaken(driver: ScriptDriver):
    """Removing one message never removes a neighbour, whatever their bytes."""
    entries = [message(f"m{n}", ANA)._replace(fingerprint=bytes(7) + bytes([n])) for n in range(4)]
    await driver.store.append(entries)
    assert await driver.store.revoke(ANA, entries[0].fingerprint) == "removed"
    assert said(await deliver(driver, ANA)) == ["m1", "m2", "m3"]


async def test_full_server(driver: ScriptDriver):
    """A full server still removes a message, because that frees memory."""
    await driver.append("m1")
    await driver.redis.config_set("maxmemory", "1")
    try:
        assert await revoke(driver, "m1") == "removed"
        with pytest.raises(StoreFull):
            await driver.append("m2")
    finally:
        await driver.redis.config_set("maxmemory", "0")
    await check_awake(driver, ANA)
