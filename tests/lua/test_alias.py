"""Two names of one person (LID or BSUID, and phone) are one conversation, in whatever order that becomes known."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from buffer.models import Append, Conversation
from tests.lua.aliases import LID, NAMES, PHONE, check_one, contents, deliver, floor, home, link, linked, said
from tests.lua.driver import MAX_WAIT_MS, WINDOW_MS, Desk, ids
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
    received = [int.from_bytes(entry[6:12]) for entry in entries]
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
