"""Two conversations of one person are merged: nothing is lost, doubled or left behind in any state of theirs."""

from __future__ import annotations

import re

import pytest

from buffer.errors import StoreFull
from buffer.models import Claim, Conversation, PauseMode
from tests.lua.aliases import LID, NAMES, PHONE, check_one, contents, deliver, floor, home, link, said
from tests.lua.conversation_states import STATES, idle
from tests.lua.driver import LEASE_MS, VISIBILITY_MS, WINDOW_MS, ScriptDriver, ids

DAY_MS = 86_400_000


@pytest.mark.parametrize("telling", ["new message", "duplicate"])
@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("state", STATES)
async def test_whatever_one_is_doing(driver: ScriptDriver, state: str, first: Conversation, telling: str):
    """In every state of one side the merged conversation holds everything and delivers each message once."""
    other = NAMES[1 - NAMES.index(first)]
    expected = [*await STATES[state](driver, first), "beside"]
    driver.clock.advance(1)
    await driver.append("beside", to=other)
    driver.clock.advance(1)
    if telling == "new message":
        assert await link(driver, "last") == "new"
        expected.append("last")
    else:
        assert await link(driver, "beside") == "duplicate"
    await check_one(driver)
    assert said(await deliver(driver)) == expected
    await check_one(driver)


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("state", STATES)
async def test_the_other_is_idle(driver: ScriptDriver, state: str, first: Conversation):
    """If the other side is idle, the merged conversation still holds everything and is awake."""
    other = NAMES[1 - NAMES.index(first)]
    batch = await driver.in_flight("gone", to=other)
    await driver.store.ack(driver.ref(other), batch.token)
    expected = await STATES[state](driver, first)
    assert await link(driver, "gone") == "duplicate"
    await check_one(driver)
    assert said(await deliver(driver)) == expected
    assert {a.status for name in NAMES for a in await driver.append("gone", "old", to=name)} == {"duplicate"}


async def test_idle_since_the_later_of_both(driver: ScriptDriver):
    """Two idle conversations that are merged stay as long as the one with the later message."""
    await idle(driver, LID)
    driver.clock.advance(6 * DAY_MS)
    await driver.append("young", to=PHONE)
    await deliver(driver)
    assert await link(driver, "young") == "duplicate"
    driver.clock.advance(2 * DAY_MS)
    assert await driver.store.sweep(0) == 0
    assert (await driver.append("young", to=LID))[0].status == "duplicate"


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
async def test_copies_in_both_bursts(driver: ScriptDriver, first: Conversation):
    """A message that came under both peers is delivered once, and the other copy is recorded."""
    await driver.append("m1", "m2", to=first)
    driver.clock.advance(1)
    await driver.append("m2", "m3", to=NAMES[1 - NAMES.index(first)])
    await link(driver, "m4")
    kept = await check_one(driver)
    assert await driver.redis.strlen(driver.key("seen", kept)) == 4 * 16, "remembered once"
    assert said(await deliver(driver)) == ["m1", "m2", "m3", "m4"]
    [copy] = [entry for entry in await driver.history() if entry["outcome"] == "discarded"]
    assert (copy["cause"], copy["messages"]) == ("duplicate", 1)
    counters = await driver.counters()
    assert (counters["messages_accepted"], counters["messages_discarded"]) == (5, 1)


@pytest.mark.parametrize("telling", ["m1", "m2"], ids=["duplicate", "new message"])
@pytest.mark.parametrize("sealed", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("state", ["in_flight", "waiting", "idle", "dead"])
async def test_copy_of_a_sealed_message(driver: ScriptDriver, state: str, sealed: Conversation, telling: str):
    """A copy in an open burst of a message that the other side has sealed is not delivered."""
    batch = await driver.in_flight("m1", to=sealed)
    if state == "waiting":
        await driver.fail(batch.token, "retry", delay_ms=3_000, to=sealed)
    elif state == "idle":
        await driver.store.ack(driver.ref(sealed), batch.token)
    elif state == "dead":
        await driver.fail(batch.token, "dead", to=sealed)
    await driver.append("m1", to=NAMES[1 - NAMES.index(sealed)])
    await link(driver, telling)
    await check_one(driver)
    first = ["m1"] if state in ("in_flight", "waiting") else []
    assert said(await deliver(driver)) == first + (["m2"] if telling == "m2" else [])
    await check_one(driver)


async def test_both_in_flight(driver: ScriptDriver):
    """Two batches in flight stay with their workers. The rest is one conversation at once."""
    batches = {who: await driver.in_flight("m1" if who is LID else "m2", to=who) for who in NAMES}
    await driver.append("m3", to=LID)
    driver.clock.advance(1)
    await driver.append("m4", to=PHONE)
    assert await link(driver, "m5") == "new"
    kept = await home(driver)
    for who, batch in batches.items():
        assert await driver.store.renew(driver.ref(who), batch.token) == "ok"
        assert await driver.store.ack(driver.ref(who), batch.token) == "ok"
        assert await driver.store.ack(driver.ref(who), batch.token) == "ok", "a repeated ack answers as the first"
    assert await driver.wake_ms(NAMES[1 - NAMES.index(kept)]) is None
    [batch] = await deliver(driver)
    assert ids(batch) == ["m3", "m4", "m5"]
    assert batch.flush_id.startswith(f"{driver.ref(kept)}-")
    assert {a.status for who in NAMES for a in await driver.append("m1", "m2", "m3", "m4", "m5", to=who)} == {
        "duplicate"
    }
    driver.clock.advance(8 * DAY_MS)
    assert await driver.store.sweep(0) == 2
    assert floor(await driver.all_keys()) == {"history"}


@pytest.mark.parametrize("end", ["crash", "retry", "dead"])
async def test_both_in_flight_and_one_fails(driver: ScriptDriver, end: str):
    """A batch that stays under an alias is delivered unchanged, also after a crash, a retry or a redrive."""
    batches = {who: await driver.in_flight(who.peer, to=who) for who in NAMES}
    await link(driver, "m1")
    kept = await home(driver)
    other = NAMES[1 - NAMES.index(kept)]
    await driver.store.ack(driver.ref(kept), batches[kept].token)
    if end == "crash":
        driver.clock.advance(LEASE_MS)
    else:
        await driver.fail(batches[other].token, end, delay_ms=5_000, to=other)
    if end == "dead":
        assert await driver.store.redrive(batches[other].flush_id) == "ok"
    again = await deliver(driver)
    assert sorted(said(again)) == sorted([other.peer, "m1"])
    [same] = [batch for batch in again if batch.flush_id == batches[other].flush_id]
    assert contents(same) == contents(batches[other])


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("state", ["in flight", "waiting"])
async def test_discard_reaches_both_batches(driver: ScriptDriver, by: Conversation, state: str):
    """A discard by either peer discards the batches of both."""
    batches = {who: await driver.in_flight(who.peer, to=who) for who in NAMES}
    await link(driver, "m1")
    if state == "waiting":
        for who, batch in batches.items():
            await driver.fail(batch.token, "retry", delay_ms=30_000, to=who)
        assert await driver.store.discard(by) == (3, False)
    else:
        assert await driver.store.discard(by) == (1, True)
        for who, batch in batches.items():
            assert await driver.store.renew(driver.ref(who), batch.token) == "cancelled"
            assert await driver.store.ack(driver.ref(who), batch.token) == "cancelled"
    assert [await driver.wake_ms(who) for who in NAMES] == [None, None]
    assert (await driver.counters())["messages_discarded"] == 3


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
async def test_takeover_reaches_both_batches(driver: ScriptDriver, by: Conversation):
    """A takeover by either peer stops the batches of both."""
    batches = {who: await driver.in_flight(who.peer, to=who) for who in NAMES}
    await link(driver, "m1")
    await driver.fail(batches[LID].token, "retry", delay_ms=30_000, to=LID)
    await driver.store.pause(by, 20_000, PauseMode.TAKEOVER)
    assert await driver.store.ack(driver.ref(PHONE), batches[PHONE].token) == "cancelled"
    assert await deliver(driver) == []
    assert (await driver.counters())["messages_discarded"] == 3


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
async def test_hold_reaches_both_batches(driver: ScriptDriver, by: Conversation):
    """A pause holds the batches of both peers to its end, and a resume frees both."""
    batches = {who: await driver.in_flight(who.peer, to=who) for who in NAMES}
    await link(driver, "m1")
    for who, batch in batches.items():
        await driver.fail(batch.token, "retry", delay_ms=1_000, to=who)
    await driver.store.pause(by, 600_000)
    driver.clock.advance(WINDOW_MS)
    assert [(await driver.claim(who)).status for who in NAMES] == ["paused", "paused"]
    await driver.store.resume(by)
    assert await driver.wake_ms(PHONE) == await driver.wake_ms(LID) == driver.clock()
    assert sorted(said(await deliver(driver))) == sorted([*(who.peer for who in NAMES), "m1"])


@pytest.mark.parametrize("paused", NAMES, ids=["phone", "lid"])
async def test_takeover_is_for_the_person(driver: ScriptDriver, paused: Conversation):
    """A takeover under one peer is for the person: the open burst of the other is recorded as discarded."""
    other = NAMES[1 - NAMES.index(paused)]
    await driver.append("m1", "m2", to=other)
    until_ms = await driver.store.pause(paused, 40_000, PauseMode.TAKEOVER)
    assert await link(driver, "m3") == "discarded"
    kept = await check_one(driver)
    assert await driver.wake_ms(kept) == until_ms
    assert sum(entry["messages"] for entry in await driver.history() if entry["cause"] == "takeover") == 3
    assert (await driver.counters())["messages_discarded"] == 3
    assert await deliver(driver) == []
    driver.clock.now_ms = until_ms
    await driver.append("m4", to=other)
    assert said(await deliver(driver)) == ["m4"]


@pytest.mark.parametrize("paused", NAMES, ids=["phone", "lid"])
async def test_takeover_cancels_the_batch_of_the_alias(driver: ScriptDriver, paused: Conversation):
    """A takeover cancels a batch in flight under the other peer, as it cancels its own."""
    other = NAMES[1 - NAMES.index(paused)]
    batch = await driver.in_flight("m1", to=other)
    await driver.store.pause(paused, 40_000, PauseMode.TAKEOVER)
    await link(driver, "m2")
    assert await driver.store.renew(driver.ref(other), batch.token) == "cancelled"
    assert await driver.fail(batch.token, "release", to=other) == "cancelled"
    assert await deliver(driver) == []
    assert (await driver.counters())["messages_discarded"] == 2


@pytest.mark.parametrize("mode", PauseMode)
async def test_pause_moves_with_its_end(driver: ScriptDriver, mode: PauseMode):
    """A pause of the dropped conversation keeps its end in the one that stays, and no conversation is swept."""
    await idle(driver, PHONE)
    until_ms = await driver.store.pause(LID, 9 * DAY_MS, mode)
    assert await link(driver, "old") == "duplicate"
    kept = await check_one(driver)
    assert await driver.wake_ms(kept) == until_ms
    driver.clock.advance(8 * DAY_MS)
    assert await driver.store.sweep(0) == 0
    assert await driver.store.resume(PHONE) is True
    await check_one(driver)


@pytest.mark.parametrize("longer", NAMES, ids=["phone", "lid"])
async def test_both_held(driver: ScriptDriver, longer: Conversation):
    """Of two pauses the later end counts."""
    until_ms = await driver.store.pause(longer, 50_000)
    await driver.store.pause(NAMES[1 - NAMES.index(longer)], 20_000)
    await link(driver, "m1")
    kept = await check_one(driver)
    assert await driver.claim(kept) == Claim("paused", None, until_ms)
    assert said(await deliver(driver)) == ["m1"]
    assert driver.clock() == until_ms


@pytest.mark.parametrize("state", ["idle", "collecting"])
async def test_dispatcher_is_told(driver: ScriptDriver, state: str):
    """A merge is announced, so that a dispatcher that dispatched the dropped conversation reads the index again."""
    await STATES[state](driver, PHONE)
    await driver.append("m2", to=LID, keyword=True)
    assert await driver.dispatch() == [driver.ref(LID)]
    async with driver.redis.pubsub() as listener:
        await listener.subscribe(driver.partition_key("wake"))
        assert (await listener.get_message(timeout=5))["type"] == "subscribe"
        assert await link(driver, "old") == "duplicate"
        assert (await listener.get_message(timeout=5))["type"] == "message"
    assert await driver.dispatch() == [driver.ref(PHONE)]


@pytest.mark.parametrize("state", [*STATES, "takeover", "paused only"])
async def test_full_server_refuses_to_merge(driver: ScriptDriver, state: str):
    """A full server refuses a message that would merge two conversations, and nothing is written."""
    if state in STATES:
        await STATES[state](driver, LID)
    elif state == "takeover":
        await driver.store.pause(LID, 40_000, PauseMode.TAKEOVER)
    else:
        await driver.store.pause(LID, 40_000)
    await driver.append("beside", to=PHONE)
    before = await everything(driver)
    await driver.redis.config_set("maxmemory", "1")
    try:
        for telling in ("m1", "beside"):
            with pytest.raises(StoreFull):
                await link(driver, telling)
        assert await everything(driver) == before
    finally:
        await driver.redis.config_set("maxmemory", "0")
    assert await link(driver, "m1") in ("new", "discarded")
    await check_one(driver)


async def everything(driver: ScriptDriver) -> dict[str, bytes]:
    """Return all keys and values, except keys with a TTL."""
    return {
        key: await driver.redis.dump(key) for key in await driver.all_keys() if not re.search("}:(timer|lock):", key)
    }


async def test_later_messages_wait_for_the_batch_of_the_other_name(driver: ScriptDriver):
    """What is said after two names became one is not claimed before the batch that stays under the other name ends."""
    tokens = {name: (await driver.in_flight(f"old {name.peer}", to=name)).token for name in NAMES}
    assert await link(driver, "new") == "new"
    kept = await home(driver)
    [left] = [name for name in NAMES if name != kept]
    assert await driver.store.ack(driver.ref(kept), tokens[kept]) == "ok"
    driver.clock.advance(WINDOW_MS)
    assert (await driver.claim(kept, "w2")).status == "busy"
    assert (await driver.wake_ms(kept) or 0) > driver.clock()
    assert await driver.store.ack(driver.ref(left), tokens[left]) == "ok"
    assert await driver.wake_ms(kept) == driver.clock()
    assert ids(await driver.claim_batch(kept, "w3")) == ["new"]


async def test_later_messages_wait_while_a_job_is_late(driver: ScriptDriver):
    """Who waits for the batch of the other name looks again when that is due anew: its job is on the way."""
    tokens = {name: (await driver.in_flight(f"old {name.peer}", to=name)).token for name in NAMES}
    assert await link(driver, "new") == "new"
    kept = await home(driver)
    [left] = [name for name in NAMES if name != kept]
    assert await driver.store.ack(driver.ref(kept), tokens[kept]) == "ok"
    assert await driver.fail(tokens[left], "retry", delay_ms=5_000, to=left) == "ok"
    driver.clock.advance(WINDOW_MS)
    assert set(await driver.dispatch()) == {driver.ref(name) for name in NAMES}
    due_ms = await driver.wake_ms(left)
    assert due_ms == driver.clock() + VISIBILITY_MS
    claim = await driver.claim(kept, "w2")
    assert (claim.status, claim.until_ms) == ("busy", due_ms)
    again = await driver.claim_batch(left, "w3")
    assert await driver.store.ack(driver.ref(left), again.token) == "ok"
    assert await driver.wake_ms(kept) == driver.clock()
