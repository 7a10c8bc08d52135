"""Two conversations turn out to be one person's: whatever either was doing, nothing is lost, doubled or left."""

from __future__ import annotations

import re

import pytest

from buffer.errors import StoreFull
from buffer.models import Conversation, PauseMode
from tests.lua.aliases import LID, NAMES, PHONE, check_one, contents, deliver, floor, home, link, said
from tests.lua.conversation_states import STATES, idle
from tests.lua.driver import LEASE_MS, WINDOW_MS, Desk, ids

DAY_MS = 86_400_000


@pytest.mark.parametrize("telling", ["new message", "duplicate"])
@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("state", STATES)
async def test_whatever_one_is_doing(desk: Desk, state: str, first: Conversation, telling: str):
    """Whatever one of the two holds: afterwards one conversation holds everything, and delivers each message once."""
    other = NAMES[1 - NAMES.index(first)]
    expected = [*await STATES[state](desk, first), "beside"]
    desk.clock.advance(1)
    await desk.say("beside", to=other)
    desk.clock.advance(1)
    if telling == "new message":
        assert await link(desk, "last") == "new"
        expected.append("last")
    else:
        assert await link(desk, "beside") == "duplicate"
    await check_one(desk)
    assert said(await deliver(desk)) == expected
    await check_one(desk)


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("state", STATES)
async def test_the_other_is_idle(desk: Desk, state: str, first: Conversation):
    """The same when the other conversation only remembers: what moves there is awake, not idle."""
    other = NAMES[1 - NAMES.index(first)]
    batch = await desk.in_flight("gone", to=other)
    await desk.store.ack(desk.ref(other), batch.token)
    expected = await STATES[state](desk, first)
    assert await link(desk, "gone") == "duplicate"
    await check_one(desk)
    assert said(await deliver(desk)) == expected
    assert {a.status for name in NAMES for a in await desk.say("gone", "old", to=name)} == {"duplicate"}


async def test_idle_since_the_later_of_both(desk: Desk):
    """Two idle conversations that are united stay remembered as long as the one that spoke last."""
    await idle(desk, LID)
    desk.clock.advance(6 * DAY_MS)
    await desk.say("young", to=PHONE)
    await deliver(desk)
    assert await link(desk, "young") == "duplicate"
    desk.clock.advance(2 * DAY_MS)
    assert await desk.store.sweep(0) == 0
    assert (await desk.say("young", to=LID))[0].status == "duplicate"


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
async def test_copies_in_both_bursts(desk: Desk, first: Conversation):
    """A message that came under both names before they were known as one is delivered once, and the other recorded."""
    await desk.say("m1", "m2", to=first)
    desk.clock.advance(1)
    await desk.say("m2", "m3", to=NAMES[1 - NAMES.index(first)])
    await link(desk, "m4")
    kept = await check_one(desk)
    assert await desk.redis.strlen(desk.key("seen", kept)) == 4 * 16, "remembered once"
    assert said(await deliver(desk)) == ["m1", "m2", "m3", "m4"]
    [copy] = [entry for entry in await desk.history() if entry["outcome"] == "discarded"]
    assert (copy["cause"], copy["messages"]) == ("duplicate", 1)
    counters = await desk.counters()
    assert (counters["accepted"], counters["discarded"]) == (5, 1)


@pytest.mark.parametrize("telling", ["m1", "m2"], ids=["duplicate", "new message"])
@pytest.mark.parametrize("sealed", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("state", ["in_flight", "waiting", "idle", "dead"])
async def test_copy_of_a_sealed_message(desk: Desk, state: str, sealed: Conversation, telling: str):
    """A copy in an open burst of what was sealed under the other name is not delivered again."""
    batch = await desk.in_flight("m1", to=sealed)
    if state == "waiting":
        await desk.fail(batch.token, "retry", delay_ms=3_000, to=sealed)
    elif state == "idle":
        await desk.store.ack(desk.ref(sealed), batch.token)
    elif state == "dead":
        await desk.fail(batch.token, "dead", to=sealed)
    await desk.say("m1", to=NAMES[1 - NAMES.index(sealed)])
    await link(desk, telling)
    await check_one(desk)
    first = ["m1"] if state in ("in_flight", "waiting") else []
    assert said(await deliver(desk)) == first + (["m2"] if telling == "m2" else [])
    await check_one(desk)


async def test_both_in_flight(desk: Desk):
    """Two batches in hand stay with their workers; the rest is one conversation at once, and nothing is left."""
    batches = {who: await desk.in_flight("m1" if who is LID else "m2", to=who) for who in NAMES}
    await desk.say("m3", to=LID)
    desk.clock.advance(1)
    await desk.say("m4", to=PHONE)
    assert await link(desk, "m5") == "new"
    kept = await home(desk)
    for who, batch in batches.items():
        assert await desk.store.renew(desk.ref(who), batch.token) == "ok"
        assert await desk.store.ack(desk.ref(who), batch.token) == "ok"
        assert await desk.store.ack(desk.ref(who), batch.token) == "ok", "a repeated ack answers as the first"
    assert await desk.wake_ms(NAMES[1 - NAMES.index(kept)]) is None
    [batch] = await deliver(desk)
    assert (ids(batch), batch.ref) == (["m3", "m4", "m5"], str(desk.ref(kept)))
    assert {a.status for who in NAMES for a in await desk.say("m1", "m2", "m3", "m4", "m5", to=who)} == {"duplicate"}
    desk.clock.advance(8 * DAY_MS)
    assert await desk.store.sweep(0) == 2
    assert floor(await desk.all_keys()) == {"counters", "history"}


@pytest.mark.parametrize("end", ["crash", "retry", "dead"])
async def test_both_in_flight_and_one_fails(desk: Desk, end: str):
    """A batch that stayed under the other name is delivered as it was, also after a crash, a retry or a redrive."""
    batches = {who: await desk.in_flight(who.peer, to=who) for who in NAMES}
    await link(desk, "m1")
    kept = await home(desk)
    other = NAMES[1 - NAMES.index(kept)]
    await desk.store.ack(desk.ref(kept), batches[kept].token)
    if end == "crash":
        desk.clock.advance(LEASE_MS)
    else:
        await desk.fail(batches[other].token, end, delay_ms=5_000, to=other)
    if end == "dead":
        assert await desk.store.redrive(batches[other].flush_id) == "ok"
    again = await deliver(desk)
    assert sorted(said(again)) == sorted([other.peer, "m1"])
    [same] = [batch for batch in again if batch.flush_id == batches[other].flush_id]
    assert contents(same) == contents(batches[other])


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("state", ["in flight", "waiting"])
async def test_discard_reaches_both_batches(desk: Desk, by: Conversation, state: str):
    """An operator who discards by one name discards what either name had in hand."""
    batches = {who: await desk.in_flight(who.peer, to=who) for who in NAMES}
    await link(desk, "m1")
    if state == "waiting":
        for who, batch in batches.items():
            await desk.fail(batch.token, "retry", delay_ms=30_000, to=who)
        assert await desk.store.discard(by) == (3, False)
    else:
        assert await desk.store.discard(by) == (1, True)
        for who, batch in batches.items():
            assert await desk.store.renew(desk.ref(who), batch.token) == "cancelled"
            assert await desk.store.ack(desk.ref(who), batch.token) == "cancelled"
    assert [await desk.wake_ms(who) for who in NAMES] == [None, None]
    assert (await desk.counters())["discarded"] == 3


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
async def test_takeover_reaches_both_batches(desk: Desk, by: Conversation):
    """A human who takes over by one name stops what either name had in hand."""
    batches = {who: await desk.in_flight(who.peer, to=who) for who in NAMES}
    await link(desk, "m1")
    await desk.fail(batches[LID].token, "retry", delay_ms=30_000, to=LID)
    await desk.store.pause(by, 20_000, PauseMode.TAKEOVER)
    assert await desk.store.ack(desk.ref(PHONE), batches[PHONE].token) == "cancelled"
    assert await deliver(desk) == []
    assert (await desk.counters())["discarded"] == 3


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
async def test_hold_reaches_both_batches(desk: Desk, by: Conversation):
    """A held person is held whole: no batch of either name goes out before the end, and a resume frees both."""
    batches = {who: await desk.in_flight(who.peer, to=who) for who in NAMES}
    await link(desk, "m1")
    for who, batch in batches.items():
        await desk.fail(batch.token, "retry", delay_ms=1_000, to=who)
    await desk.store.pause(by, 600_000)
    desk.clock.advance(WINDOW_MS)
    assert [(await desk.claim(who)).status for who in NAMES] == ["paused", "paused"]
    await desk.store.resume(by)
    assert await desk.wake_ms(PHONE) == await desk.wake_ms(LID) == desk.clock()
    assert sorted(said(await deliver(desk))) == sorted([*(who.peer for who in NAMES), "m1"])


@pytest.mark.parametrize("paused", NAMES, ids=["phone", "lid"])
async def test_takeover_is_for_the_person(desk: Desk, paused: Conversation):
    """A human who answers under one name answers the person: the open burst of the other is recorded as discarded."""
    other = NAMES[1 - NAMES.index(paused)]
    await desk.say("m1", "m2", to=other)
    until_ms = await desk.store.pause(paused, 40_000, PauseMode.TAKEOVER)
    assert await link(desk, "m3") == "discarded"
    kept = await check_one(desk)
    assert await desk.wake_ms(kept) == until_ms
    assert sum(entry["messages"] for entry in await desk.history() if entry["cause"] == "takeover") == 3
    assert (await desk.counters())["discarded"] == 3
    assert await deliver(desk) == []
    desk.clock.now_ms = until_ms
    await desk.say("m4", to=other)
    assert said(await deliver(desk)) == ["m4"]


@pytest.mark.parametrize("paused", NAMES, ids=["phone", "lid"])
async def test_takeover_cancels_the_batch_of_the_other_name(desk: Desk, paused: Conversation):
    """A batch in flight under the other name is cancelled, as it is by a takeover of its own."""
    other = NAMES[1 - NAMES.index(paused)]
    batch = await desk.in_flight("m1", to=other)
    await desk.store.pause(paused, 40_000, PauseMode.TAKEOVER)
    await link(desk, "m2")
    assert await desk.store.renew(desk.ref(other), batch.token) == "cancelled"
    assert await desk.fail(batch.token, "release", to=other) == "cancelled"
    assert await deliver(desk) == []
    assert (await desk.counters())["discarded"] == 2


@pytest.mark.parametrize("mode", PauseMode)
async def test_pause_moves_with_its_end(desk: Desk, mode: PauseMode):
    """A pause of the conversation that goes on under the other name ends when it was to end, and nobody is swept."""
    await idle(desk, PHONE)
    until_ms = await desk.store.pause(LID, 9 * DAY_MS, mode)
    assert await link(desk, "old") == "duplicate"
    kept = await check_one(desk)
    assert await desk.wake_ms(kept) == until_ms
    desk.clock.advance(8 * DAY_MS)
    assert await desk.store.sweep(0) == 0
    assert await desk.store.resume(PHONE) is True
    await check_one(desk)


@pytest.mark.parametrize("longer", NAMES, ids=["phone", "lid"])
async def test_both_held(desk: Desk, longer: Conversation):
    """Of two pauses the later end counts."""
    until_ms = await desk.store.pause(longer, 50_000)
    await desk.store.pause(NAMES[1 - NAMES.index(longer)], 20_000)
    await link(desk, "m1")
    kept = await check_one(desk)
    assert await desk.claim(kept) == ("paused", None, until_ms)
    assert said(await deliver(desk)) == ["m1"]
    assert desk.clock() == until_ms


@pytest.mark.parametrize("state", ["idle", "collecting"])
async def test_dispatcher_is_told(desk: Desk, state: str):
    """A dispatcher that handed the vanished conversation out already is told to look again."""
    await STATES[state](desk, PHONE)
    await desk.say("m2", to=LID, keyword=True)
    assert await desk.due() == [str(desk.ref(LID))]
    async with desk.redis.pubsub() as listener:
        await listener.subscribe(desk.partition_key("wake"))
        assert (await listener.get_message(timeout=5))["type"] == "subscribe"
        assert await link(desk, "old") == "duplicate"
        assert (await listener.get_message(timeout=5))["type"] == "message"
    assert await desk.due() == [str(desk.ref(PHONE))]


@pytest.mark.parametrize("state", [*STATES, "takeover", "paused only"])
async def test_full_server_refuses_to_unite(desk: Desk, state: str):
    """A full server refuses a message that would unite two conversations, and nothing was written."""
    if state in STATES:
        await STATES[state](desk, LID)
    elif state == "takeover":
        await desk.store.pause(LID, 40_000, PauseMode.TAKEOVER)
    else:
        await desk.store.pause(LID, 40_000)
    await desk.say("beside", to=PHONE)
    before = await everything(desk)
    await desk.redis.config_set("maxmemory", "1")
    try:
        for telling in ("m1", "beside"):
            with pytest.raises(StoreFull):
                await link(desk, telling)
        assert await everything(desk) == before
    finally:
        await desk.redis.config_set("maxmemory", "0")
    assert await link(desk, "m1") in ("new", "discarded")
    await check_one(desk)


async def everything(desk: Desk) -> dict[str, bytes]:
    """All that lies there, but for keys that end by themselves."""
    return {key: await desk.redis.dump(key) for key in await desk.all_keys() if not re.search("}:(timer|lock):", key)}
