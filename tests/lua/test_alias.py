"""Two names of one person (LID or BSUID, and phone) are one conversation, in whatever order that becomes known."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable

import pytest

from buffer.errors import StoreFull
from buffer.models import Append, Batch, Conversation, PauseMode
from tests.lua.desk import LEASE_MS, MAX_WAIT_MS, WINDOW_MS, Desk, ids
from tests.lua.person import LID, NAMES, PHONE, check_one, deliver, home, link, linked, said
from tests.messages import message

BSUID = Conversation("evolution", "loja", "BR.900000000000001")
DAY_MS = 86_400_000

ORDERS = {
    "both at once": [linked("m1"), message("m2", LID), message("m3", PHONE)],
    "lid first": [message("m1", LID), linked("m2"), message("m3", PHONE)],
    "phone first": [message("m1", PHONE), linked("m2"), message("m3", LID)],
    "lid, phone": [message("m1", LID), message("m2", PHONE), linked("m3")],
    "phone, lid": [message("m1", PHONE), message("m2", LID), linked("m3")],
    "told by the lid": [message("m1", PHONE), message("m2", LID), linked("m3", LID, PHONE)],
    "told by a duplicate": [message("m1", PHONE), message("m2", LID), message("m3", PHONE), linked("m2")],
    "told twice": [message("m1", LID), linked("m2"), linked("m3", LID, PHONE), linked("m3")],
}


@pytest.fixture(params=ORDERS)
def order(request: pytest.FixtureRequest) -> list[Append]:
    """Messages of a person, in one of the orders in which two names become one; they sort by their timestamps."""
    return [append._replace(order_ms=n) for n, append in enumerate(ORDERS[request.param])]


@pytest.mark.parametrize("calls", ["one call", "a call each"])
async def test_one_burst(desk: Desk, order: list[Append], calls: str):
    """Whatever is known when: one conversation, one burst, every message once and in order."""
    if calls == "one call":
        await desk.store.append(order)
    else:
        for append in order:
            await desk.store.append([append])
    await check_one(desk)
    [batch] = await deliver(desk)
    assert ids(batch) == ["m1", "m2", "m3"]


@pytest.mark.parametrize("again", NAMES, ids=["phone", "lid"])
async def test_redelivered_under_either_name(desk: Desk, order: list[Append], again: Conversation):
    """Every message that comes again, under whichever name, is a duplicate: in the burst, in flight and after it."""
    await desk.store.append(order)
    kept = await check_one(desk)
    for _ in range(2):
        assert {a.status for a in await desk.say("m1", "m2", "m3", to=again)} == {"duplicate"}
    desk.clock.advance(WINDOW_MS)
    batch = await desk.take(kept)
    assert {a.status for a in await desk.say("m1", "m2", "m3", to=again)} == {"duplicate"}
    await desk.store.ack(desk.ref(kept), batch.token)
    assert {a.status for a in await desk.say("m1", "m2", "m3", to=again)} == {"duplicate"}
    assert await deliver(desk) == []


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
async def test_conversation_keeps_its_id(desk: Desk, first: Conversation):
    """A conversation that was there keeps its internal id when another name of it becomes known."""
    await desk.say("m1", to=first)
    await link(desk, "m2")
    assert await home(desk) == first
    [batch] = await deliver(desk)
    assert batch.ref == str(desk.ref(first))
    assert batch.flush_id.startswith(f"{desk.ref(first)}-")


@pytest.mark.parametrize("telling", [linked("m3"), linked("m2")], ids=["new message", "duplicate"])
async def test_window_of_both(desk: Desk, telling: Append):
    """The united burst was opened by the first message of both and ends when both are quiet."""
    opened_ms = desk.clock()
    await desk.say("m1", to=LID)
    desk.clock.advance(3_000)
    [second] = await desk.say("m2", to=PHONE)
    desk.clock.advance(2_000)
    [last] = await desk.store.append([telling])
    kept = await check_one(desk)
    deadline_ms = desk.clock() + WINDOW_MS if last.status == "new" else second.deadline_ms
    conv = await desk.conv(kept)
    assert (int(conv["opened_ms"]), int(conv["deadline_ms"])) == (opened_ms, deadline_ms)
    assert (await desk.wake_ms(kept), last.deadline_ms) == (deadline_ms, deadline_ms)
    assert 0 < await desk.redis.pttl(desk.key("timer", kept)) <= deadline_ms - desk.clock()


async def test_longest_wait_of_both(desk: Desk):
    """The deadline of a united burst is never past the longest wait after its first message."""
    opened_ms = desk.clock()
    for n in range(9):
        await desk.say(f"m{n}", to=LID)
        desk.clock.advance(7_000 if n < 8 else 0)
    desk.clock.now_ms = opened_ms + MAX_WAIT_MS - 1_000
    await desk.say("late", to=PHONE)
    assert await link(desk, "m1") == "duplicate"
    kept = await check_one(desk)
    assert await desk.wake_ms(kept) == opened_ms + MAX_WAIT_MS
    [batch] = await deliver(desk)
    assert (batch.reason, len(ids(batch))) == ("max_wait", 10)


async def test_order_is_that_of_receipt(desk: Desk):
    """The messages of both names lie in the buffer as they came, turn by turn."""
    for n in range(6):
        await desk.say(f"m{n}", to=NAMES[n % 2])
        desk.clock.advance(100)
    await link(desk, "m6")
    kept = await check_one(desk)
    entries = await desk.redis.lrange(desk.key("buffer", kept), 0, -1)
    received = [int(entry[13:26]) for entry in entries]
    assert received == sorted(received)
    assert said(await deliver(desk)) == [f"m{n}" for n in range(7)]


@pytest.mark.parametrize("fired", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("telling", [linked("m3"), linked("m1")], ids=["new message", "duplicate"])
async def test_fired_deadline_stays(desk: Desk, fired: Conversation, telling: Append):
    """A burst that was to be flushed at once is due when it was, with its reason, whatever joins it."""
    other = NAMES[1 - NAMES.index(fired)]
    [first] = await desk.say("m1", to=fired, keyword=True)
    desk.clock.advance(1_000)
    await desk.say("m2", to=other)
    desk.clock.advance(1_000)
    [last] = await desk.store.append([telling])
    assert last.deadline_ms == first.deadline_ms
    kept = await check_one(desk)
    assert (await desk.wake_ms(kept) or 0) <= desk.clock()
    batch = await desk.take(kept)
    assert batch.reason == "keyword"
    assert ids(batch) == (["m1", "m2", "m3"] if last.status == "new" else ["m1", "m2"])


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
async def test_both_fired(desk: Desk, first: Conversation):
    """Of two bursts that were to be flushed at once, the one that fired first gives the time and the reason."""
    await desk.say("m1", to=first)
    await desk.store.flush_now(first)
    fired_ms = desk.clock()
    desk.clock.advance(1_000)
    await desk.say("m2", to=NAMES[1 - NAMES.index(first)], keyword=True)
    await link(desk, "m1")
    batch = await desk.take(await check_one(desk))
    assert (ids(batch), batch.reason, batch.closed_ms) == (["m1", "m2"], "manual", fired_ms + 1_000)


async def test_cap_counts_both(open_desk: Callable[..., Desk]):
    """Two bursts that reach the cap together are due at once."""
    desk = open_desk(message_buffer_max_messages=4)
    await desk.say("m1", "m2", to=LID)
    desk.clock.advance(1)
    await desk.say("m3", "m4", to=PHONE)
    assert await link(desk, "m1") == "duplicate"
    kept = await check_one(desk)
    assert await desk.wake_ms(kept) == desk.clock()
    batch = await desk.take(kept)
    assert (batch.reason, ids(batch)) == ("max_messages", ["m1", "m2", "m3", "m4"])


async def test_byte_cap_counts_both(open_desk: Callable[..., Desk]):
    """The same for the bytes of both."""
    desk = open_desk(message_buffer_max_bytes=100)
    await desk.say("m1", to=LID, payload=b'{"message_id":"m1"}'.ljust(60))
    desk.clock.advance(1)
    await desk.say("m2", to=PHONE, payload=b'{"message_id":"m2"}'.ljust(40))
    assert await link(desk, "m1") == "duplicate"
    kept = await check_one(desk)
    batch = await desk.take(kept)
    assert (batch.reason, ids(batch)) == ("max_bytes", ["m1", "m2"])


async def test_messages_above_the_cap_are_a_window_of_their_own(open_desk: Callable[..., Desk]):
    """Two bursts that are more than one batch together: two batches, nothing lost."""
    desk = open_desk(message_buffer_max_messages=3)
    await desk.say("m1", "m2", to=LID)
    desk.clock.advance(1)
    await desk.say("m3", "m4", to=PHONE)
    await link(desk, "m5")
    await check_one(desk)
    assert [ids(batch) for batch in await deliver(desk)] == [["m1", "m2", "m3"], ["m4", "m5"]]


async def idle(desk: Desk, who: Conversation) -> list[str]:
    batch = await desk.in_flight("old", to=who)
    await desk.store.ack(desk.ref(who), batch.token)
    return []


async def collecting(desk: Desk, who: Conversation) -> list[str]:
    await desk.say("old", to=who)
    return ["old"]


async def in_flight(desk: Desk, who: Conversation) -> list[str]:
    await desk.in_flight("old", to=who)
    await desk.say("new", to=who)
    return ["old", "new"]


async def waiting(desk: Desk, who: Conversation) -> list[str]:
    batch = await desk.in_flight("old", to=who)
    await desk.fail(batch.token, "retry", delay_ms=3_000, to=who)
    await desk.say("new", to=who)
    return ["old", "new"]


async def abandoned(desk: Desk, who: Conversation) -> list[str]:
    await desk.in_flight("old", to=who)
    desk.clock.advance(LEASE_MS)
    return ["old"]


async def asked_again(desk: Desk, who: Conversation) -> list[str]:
    batch = await desk.bury("old", to=who)
    await desk.store.redrive(batch.flush_id)
    await desk.say("new", to=who)
    return ["old", "new"]


async def dead(desk: Desk, who: Conversation) -> list[str]:
    await desk.bury("old", to=who)
    return []


async def held(desk: Desk, who: Conversation) -> list[str]:
    await desk.say("old", to=who)
    await desk.store.pause(who, 40_000)
    return ["old"]


async def dispatched(desk: Desk, who: Conversation) -> list[str]:
    await desk.say("old", to=who, keyword=True)
    await desk.due()
    return ["old"]


STATES: dict[str, Callable[[Desk, Conversation], Awaitable[list[str]]]] = {
    state.__name__: state
    for state in (idle, collecting, in_flight, waiting, abandoned, asked_again, dead, held, dispatched)
}


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


@pytest.mark.parametrize("links", list(itertools.permutations(["phone-lid", "lid-bsuid", "phone-bsuid"], 2)), ids=str)
async def test_three_names(desk: Desk, links: tuple[str, ...]):
    """Two links make three names one person, each of which leads there directly."""
    names = {"phone": PHONE, "lid": LID, "bsuid": BSUID}
    for key, who in names.items():
        await desk.say(f"of {key}", to=who)
        desk.clock.advance(10)
    for n, pair in enumerate(links):
        to, twin = (names[key] for key in pair.split("-"))
        assert await link(desk, f"link {n}", to, twin) == "new"
    kept = await check_one(desk, *names.values())
    aliases = (await desk.conv(kept))["aliases"]
    assert len(aliases) == 2 * 16
    every = ["of phone", "of lid", "of bsuid", "link 0", "link 1"]
    for who in names.values():
        assert {a.status for a in await desk.say(*every, to=who)} == {"duplicate"}
    assert said(await deliver(desk, *names.values())) == every
    desk.clock.advance(8 * DAY_MS)
    assert await desk.store.sweep(0) == 1
    assert floor(await desk.all_keys()) == {"counters", "history"}


async def test_learned_again(desk: Desk):
    """Gateways tell both names in every message: that costs nothing after the first time."""
    await link(desk, "m0")
    before = await desk.redis.hget(desk.key("conv", PHONE), "aliases")
    for n in range(1, 10):
        await link(desk, f"m{n}", *(NAMES if n % 2 else reversed(NAMES)))
    assert await desk.redis.hget(desk.key("conv", PHONE), "aliases") == before
    assert await desk.redis.hlen(desk.partition_key("alias")) == 1


async def test_twin_is_the_name_itself(desk: Desk):
    """A twin that is only another spelling of the same phone is no alias."""
    assert await link(desk, "m1", PHONE._replace(peer="5511991111222"), PHONE._replace(peer="551191111222")) == "new"
    assert await desk.redis.exists(desk.partition_key("alias")) == 0


async def test_at_the_same_instant(desk: Desk):
    """Many processes tell the names in many orders at once: one conversation with every message once."""
    appends = [[message(f"l{n}", LID), message(f"p{n}", PHONE)] for n in range(4)]
    appends += [[linked(f"b{n}", *(NAMES if n % 2 else reversed(NAMES)))] for n in range(4)]
    await asyncio.gather(*(desk.store.append(append) for append in appends))
    await check_one(desk)
    expected = {f"{kind}{n}" for kind in "lpb" for n in range(4)}
    assert sorted(said(await deliver(desk))) == sorted(expected)


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


async def test_job_for_a_name_that_is_gone(desk: Desk):
    """A job that was queued for the vanished conversation finds nothing and leaves nothing."""
    await desk.say("m1", to=PHONE)
    await desk.say("m2", to=LID)
    await link(desk, "m3")
    gone = NAMES[1 - NAMES.index(await home(desk))]
    assert (await desk.claim(gone)).status == "empty"
    await check_one(desk)


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("first", NAMES, ids=["phone first", "lid first"])
async def test_operators_reach_it_by_either_name(desk: Desk, first: Conversation, by: Conversation):
    """Typing, flush_now, discard, pause and resume act on the one conversation, whichever name is given."""
    await desk.say("m1", to=first)
    await link(desk, "m2")
    kept = await check_one(desk)
    desk.clock.advance(1_000)
    assert await desk.store.extend(by) == desk.clock() + WINDOW_MS == await desk.wake_ms(kept)
    assert await desk.store.pause(by, 30_000) == await desk.wake_ms(kept)
    assert await desk.store.resume(by) is True
    assert await desk.wake_ms(kept) == desk.clock() + WINDOW_MS
    assert await desk.store.flush_now(by) == 2
    assert await desk.wake_ms(kept) == desk.clock()
    assert await desk.store.discard(by) == (2, False)
    await check_one(desk)
    assert await deliver(desk) == []


@pytest.mark.parametrize("died", NAMES, ids=["phone", "lid"])
async def test_letter_of_a_name_that_is_gone(desk: Desk, died: Conversation):
    """A dead letter of either name is delivered again as it was, in the one conversation, before anything new."""
    letter = await desk.bury("m1", to=died)
    await desk.say("m2", to=NAMES[1 - NAMES.index(died)])
    await link(desk, "m3")
    kept = await check_one(desk)
    assert await desk.store.redrive(letter.flush_id) == "ok"
    again = await desk.take(kept)
    assert contents(again) == contents(letter)
    assert await desk.store.redrive(letter.flush_id) == "unknown"
    await desk.store.ack(desk.ref(kept), again.token)
    assert said(await deliver(desk)) == ["m2", "m3"]


async def test_sweep_takes_the_names(desk: Desk):
    """A forgotten person leaves no name behind, and may come back under either."""
    for first in NAMES:
        await desk.say("m1", to=first)
        await link(desk, "m2")
        await deliver(desk)
        desk.clock.advance(8 * DAY_MS)
        assert await desk.store.sweep(0) == 1
        assert floor(await desk.all_keys()) == {"counters", "history"}


async def test_memory_of_both(open_desk: Callable[..., Desk]):
    """The united memory holds 16 bytes for each id, oldest first, and each id is forgotten at its own time."""
    desk = open_desk(dedupe_ttl=100)
    for n in range(6):
        await desk.say(f"m{n}", to=NAMES[n % 2])
        desk.clock.advance(10_000)
    await link(desk, "m5")
    kept = await home(desk)
    memory = await desk.redis.get(desk.key("seen", kept))
    seconds = [int.from_bytes(memory[at + 8 : at + 12]) for at in range(0, len(memory), 16)]
    assert len(memory) == 6 * 16
    assert seconds == sorted(seconds)
    desk.clock.advance(41_000)
    assert [(await desk.say(f"m{n}", to=LID))[0].status for n in range(6)] == ["new"] + ["duplicate"] * 5
    assert await desk.redis.strlen(desk.key("seen", kept)) == 6 * 16


async def test_resent_request_that_told_the_names(desk: Desk):
    """The reply to the request that united two conversations was lost: it answers as the first time."""
    await desk.say("m1", to=LID)
    await desk.say("m2", to=PHONE)
    request = linked("m3", nonce=b"aaaa")
    first = await desk.store.append([request])
    desk.clock.advance(500)
    assert await desk.store.append([request]) == first
    assert (await desk.counters())["accepted"] == 3


REPLY_ORDERS = {
    "lid then phone": ([LID, PHONE], PHONE),
    "phone then lid": ([PHONE, LID], PHONE),
    "lid, phone, lid": ([LID, PHONE, LID], PHONE),
}


@pytest.mark.parametrize("order", REPLY_ORDERS)
@pytest.mark.parametrize("first", NAMES, ids=["created as phone", "created as lid"])
async def test_reply_address_is_the_phone(desk: Desk, order: str, first: Conversation):
    """Once the phone was seen, replies go there: it is not given up for a lid."""
    await desk.store.append([linked("m0", first, NAMES[1 - NAMES.index(first)])])
    names, expected = REPLY_ORDERS[order]
    for n, who in enumerate(names):
        await desk.say(f"n{n}", to=who)
    [batch] = await deliver(desk)
    assert batch.conversation == expected


@pytest.mark.parametrize("telling", [linked("m3", LID, PHONE), linked("m1")], ids=["by the lid", "by a duplicate"])
@pytest.mark.parametrize("first", NAMES, ids=["phone first", "lid first"])
async def test_phone_survives_the_union(desk: Desk, first: Conversation, telling: Append):
    """Whichever conversation goes on, it knows the phone and the name that either knew."""
    await desk.say("m1", to=first, name="Ana" if first is PHONE else None)
    await desk.say("m2", to=NAMES[1 - NAMES.index(first)], name=None if first is PHONE else "Ana")
    await desk.store.append([telling])
    [batch] = await deliver(desk)
    assert (batch.conversation, batch.name) == (PHONE, "Ana")


async def test_newest_spelling_of_the_phone(desk: Desk):
    """Of two spellings of the phone the newest is where the reply goes."""
    old = PHONE._replace(peer="551191111222")
    new = PHONE._replace(peer="5511991111222")
    await desk.say("m1", to=old)
    await desk.say("m2", to=new)
    [batch] = await deliver(desk, old)
    assert (ids(batch), batch.conversation) == (["m1", "m2"], new)


async def test_pause_by_the_lid_keeps_the_phone(desk: Desk):
    """An operator who names the person by the lid does not change where replies go."""
    await link(desk, "m1")
    await desk.store.pause(LID, 20_000)
    [batch] = await deliver(desk)
    assert batch.conversation == PHONE


async def test_sealed_batch_keeps_its_name_and_address(desk: Desk):
    """What a newer message brings (phone, name) is not for the batch already sealed: a redelivery is the same."""
    await desk.store.append([message("m1", LID, name="Ana")])
    desk.clock.advance(WINDOW_MS)
    first = await desk.take(LID)
    await desk.store.append([linked("m2", name="Ana Maria")])
    desk.clock.advance(LEASE_MS)
    again = await desk.take(LID, caller="w2")
    assert contents(again) == contents(first)
    assert (again.conversation, again.name) == (LID, "Ana")
    await desk.store.ack(desk.ref(LID), again.token)
    [behind] = await deliver(desk)
    assert (behind.conversation, behind.name) == (PHONE, "Ana Maria")


async def test_disabled_buffer(open_desk: Callable[..., Desk]):
    """With the buffer off, two names are one person too, each message a batch of its own."""
    desk = open_desk(message_buffer_enabled=False)
    await desk.say("m1", to=LID)
    desk.clock.advance(1)
    await desk.say("m2", to=PHONE)
    await link(desk, "m3")
    await check_one(desk)
    assert [ids(batch) for batch in await deliver(desk)] == [["m1"], ["m2"], ["m3"]]


async def test_names_share_a_slot(open_desk: Callable[..., Desk]):
    """However many partitions: all keys of a person, and the names, lie in the one of the channel."""
    desk = open_desk(redis_partitions=16)
    await desk.say("m1", to=LID)
    await desk.say("m2", to=PHONE)
    await link(desk, "m3")
    tags = {key.partition("{")[2].partition("}")[0] for key in await desk.all_keys()}
    assert tags == {f"p{desk.ref(PHONE).partition}"}


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


def floor(keys: list[str]) -> set[str]:
    return {key.partition("}:")[2] for key in keys}


def contents(batch: Batch) -> dict[str, object]:
    """What the agent gets is made of this: it must be the same at every attempt."""
    changing = ("token", "attempt", "failures", "answer", "ref")
    return {name: getattr(batch, name) for name in batch.__slots__ if name not in changing}
