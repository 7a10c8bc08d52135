"""Two peers of one person (LID or BSUID, and phone) are one conversation, in whatever order that becomes known."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from buffer.models import Append, Conversation
from tests.lua.aliases import LID, NAMES, PHONE, check_one, contents, deliver, floor, home, link, linked, said
from tests.lua.driver import MAX_WAIT_MS, WINDOW_MS, ScriptDriver, ids
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
    """Return the messages of a person in one of the orders in which its peers are linked. Timestamps sort them."""
    return [append._replace(order_ms=n) for n, append in enumerate(ORDERS[request.param])]


@pytest.mark.parametrize("calls", ["one call", "a call each"])
async def test_one_burst(driver: ScriptDriver, order: list[Append], calls: str):
    """In any order of events there is one conversation and one burst, with every message once and in order."""
    if calls == "one call":
        await driver.store.append(order)
    else:
        for append in order:
            await driver.store.append([append])
    await check_one(driver)
    [batch] = await deliver(driver)
    assert ids(batch) == ["m1", "m2", "m3"]


@pytest.mark.parametrize("again", NAMES, ids=["phone", "lid"])
async def test_redelivered_under_either_name(driver: ScriptDriver, order: list[Append], again: Conversation):
    """Every message that comes again, under either peer, is a duplicate: in the burst, in flight and after delivery."""
    await driver.store.append(order)
    kept = await check_one(driver)
    for _ in range(2):
        assert {a.status for a in await driver.append("m1", "m2", "m3", to=again)} == {"duplicate"}
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch(kept)
    assert {a.status for a in await driver.append("m1", "m2", "m3", to=again)} == {"duplicate"}
    await driver.store.ack(driver.ref(kept), batch.token)
    assert {a.status for a in await driver.append("m1", "m2", "m3", to=again)} == {"duplicate"}
    assert await deliver(driver) == []


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
async def test_conversation_keeps_its_id(driver: ScriptDriver, first: Conversation):
    """A conversation keeps its hash when an alias becomes known."""
    await driver.append("m1", to=first)
    await link(driver, "m2")
    assert await home(driver) == first
    [batch] = await deliver(driver)
    assert batch.flush_id.startswith(f"{driver.ref(first)}-")


@pytest.mark.parametrize("telling", [linked("m3"), linked("m2")], ids=["new message", "duplicate"])
async def test_window_of_both(driver: ScriptDriver, telling: Append):
    """The merged burst has the earlier opening and the later deadline."""
    opened_ms = driver.clock()
    await driver.append("m1", to=LID)
    driver.clock.advance(3_000)
    [second] = await driver.append("m2", to=PHONE)
    driver.clock.advance(2_000)
    [last] = await driver.store.append([telling])
    kept = await check_one(driver)
    deadline_ms = driver.clock() + WINDOW_MS if last.status == "new" else second.deadline_ms
    conv = await driver.conv(kept)
    assert (int(conv["opened_ms"]), int(conv["deadline_ms"])) == (opened_ms, deadline_ms)
    assert (await driver.wake_ms(kept), last.deadline_ms) == (deadline_ms, deadline_ms)
    assert 0 < await driver.redis.pttl(driver.key("timer", kept)) <= deadline_ms - driver.clock()


async def test_longest_wait_of_both(driver: ScriptDriver):
    """The deadline of a merged burst is never later than the longest wait after its first message."""
    opened_ms = driver.clock()
    for n in range(9):
        await driver.append(f"m{n}", to=LID)
        driver.clock.advance(7_000 if n < 8 else 0)
    driver.clock.now_ms = opened_ms + MAX_WAIT_MS - 1_000
    await driver.append("late", to=PHONE)
    assert await link(driver, "m1") == "duplicate"
    kept = await check_one(driver)
    assert await driver.wake_ms(kept) == opened_ms + MAX_WAIT_MS
    [batch] = await deliver(driver)
    assert (batch.reason, len(ids(batch))) == ("max_wait", 10)


async def test_order_is_that_of_receipt(driver: ScriptDriver):
    """The buffer holds the messages of both peers in order of receipt."""
    for n in range(6):
        await driver.append(f"m{n}", to=NAMES[n % 2])
        driver.clock.advance(100)
    await link(driver, "m6")
    kept = await check_one(driver)
    entries = await driver.redis.lrange(driver.key("buffer", kept), 0, -1)
    received = [int.from_bytes(entry[6:12]) for entry in entries]
    assert received == sorted(received)
    assert said(await deliver(driver)) == [f"m{n}" for n in range(7)]


@pytest.mark.parametrize("fired", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("telling", [linked("m3"), linked("m1")], ids=["new message", "duplicate"])
async def test_fired_deadline_stays(driver: ScriptDriver, fired: Conversation, telling: Append):
    """A burst that has fired keeps its deadline and reason when another burst is merged into it."""
    other = NAMES[1 - NAMES.index(fired)]
    [first] = await driver.append("m1", to=fired, keyword=True)
    driver.clock.advance(1_000)
    await driver.append("m2", to=other)
    driver.clock.advance(1_000)
    [last] = await driver.store.append([telling])
    assert last.deadline_ms == first.deadline_ms
    kept = await check_one(driver)
    assert (await driver.wake_ms(kept) or 0) <= driver.clock()
    batch = await driver.claim_batch(kept)
    assert batch.reason == "keyword"
    assert ids(batch) == (["m1", "m2", "m3"] if last.status == "new" else ["m1", "m2"])


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
async def test_both_fired(driver: ScriptDriver, first: Conversation):
    """Of two bursts that have fired, the earlier one gives the deadline and the reason."""
    await driver.append("m1", to=first)
    await driver.store.flush_now(first)
    fired_ms = driver.clock()
    driver.clock.advance(1_000)
    await driver.append("m2", to=NAMES[1 - NAMES.index(first)], keyword=True)
    await link(driver, "m1")
    batch = await driver.claim_batch(await check_one(driver))
    assert (ids(batch), batch.reason, batch.closed_ms) == (["m1", "m2"], "manual", fired_ms + 1_000)


async def test_cap_counts_both(open_driver: Callable[..., ScriptDriver]):
    """Two bursts that reach the message cap together are due at once."""
    driver = open_driver(message_buffer_max_messages=4)
    await driver.append("m1", "m2", to=LID)
    driver.clock.advance(1)
    await driver.append("m3", "m4", to=PHONE)
    assert await link(driver, "m1") == "duplicate"
    kept = await check_one(driver)
    assert await driver.wake_ms(kept) == driver.clock()
    batch = await driver.claim_batch(kept)
    assert (batch.reason, ids(batch)) == ("max_messages", ["m1", "m2", "m3", "m4"])


async def test_byte_cap_counts_both(open_driver: Callable[..., ScriptDriver]):
    """Two bursts that reach the byte cap together are due at once."""
    driver = open_driver(message_buffer_max_bytes=100)
    await driver.append("m1", to=LID, payload=b'{"message_id":"m1"}'.ljust(60))
    driver.clock.advance(1)
    await driver.append("m2", to=PHONE, payload=b'{"message_id":"m2"}'.ljust(40))
    assert await link(driver, "m1") == "duplicate"
    kept = await check_one(driver)
    batch = await driver.claim_batch(kept)
    assert (batch.reason, ids(batch)) == ("max_bytes", ["m1", "m2"])


async def test_messages_above_the_cap_are_a_window_of_their_own(open_driver: Callable[..., ScriptDriver]):
    """Two bursts that exceed a batch together become two batches, and nothing is lost."""
    driver = open_driver(message_buffer_max_messages=3)
    await driver.append("m1", "m2", to=LID)
    driver.clock.advance(1)
    await driver.append("m3", "m4", to=PHONE)
    await link(driver, "m5")
    await check_one(driver)
    assert [ids(batch) for batch in await deliver(driver)] == [["m1", "m2", "m3"], ["m4", "m5"]]


@pytest.mark.parametrize("links", list(itertools.permutations(["phone-lid", "lid-bsuid", "phone-bsuid"], 2)), ids=str)
async def test_three_names(driver: ScriptDriver, links: tuple[str, ...]):
    """Two links make three peers one person. Each alias leads directly to the conversation."""
    names = {"phone": PHONE, "lid": LID, "bsuid": BSUID}
    for key, who in names.items():
        await driver.append(f"of {key}", to=who)
        driver.clock.advance(10)
    for n, pair in enumerate(links):
        to, alias = (names[key] for key in pair.split("-"))
        assert await link(driver, f"link {n}", to, alias) == "new"
    kept = await check_one(driver, *names.values())
    aliases = (await driver.conv(kept))["aliases"]
    assert len(aliases) == 2 * 16
    every = ["of phone", "of lid", "of bsuid", "link 0", "link 1"]
    for who in names.values():
        assert {a.status for a in await driver.append(*every, to=who)} == {"duplicate"}
    assert said(await deliver(driver, *names.values())) == every
    driver.clock.advance(8 * DAY_MS)
    assert await driver.store.sweep(0) == 1
    assert floor(await driver.all_keys()) == {"history"}


async def test_learned_again(driver: ScriptDriver):
    """Gateways send both peers with every message. Only the first time adds an alias."""
    await link(driver, "m0")
    before = await driver.redis.hget(driver.key("conv", PHONE), "aliases")
    for n in range(1, 10):
        await link(driver, f"m{n}", *(NAMES if n % 2 else reversed(NAMES)))
    assert await driver.redis.hget(driver.key("conv", PHONE), "aliases") == before
    assert await driver.redis.hlen(driver.partition_key("alias")) == 1


async def test_alias_is_the_conversation_itself(driver: ScriptDriver):
    """Another spelling of the same phone number is no alias."""
    assert await link(driver, "m1", PHONE._replace(peer="5511991111222"), PHONE._replace(peer="551191111222")) == "new"
    assert await driver.redis.exists(driver.partition_key("alias")) == 0


async def test_at_the_same_instant(driver: ScriptDriver):
    """Many processes link the peers in many orders at once: one conversation has every message once."""
    appends = [[message(f"l{n}", LID), message(f"p{n}", PHONE)] for n in range(4)]
    appends += [[linked(f"b{n}", *(NAMES if n % 2 else reversed(NAMES)))] for n in range(4)]
    await asyncio.gather(*(driver.store.append(append) for append in appends))
    await check_one(driver)
    expected = {f"{kind}{n}" for kind in "lpb" for n in range(4)}
    assert sorted(said(await deliver(driver))) == sorted(expected)


async def test_job_for_a_name_that_is_gone(driver: ScriptDriver):
    """A job that was queued for the dropped conversation finds nothing and leaves nothing."""
    await driver.append("m1", to=PHONE)
    await driver.append("m2", to=LID)
    await link(driver, "m3")
    gone = NAMES[1 - NAMES.index(await home(driver))]
    assert (await driver.claim(gone)).status == "empty"
    await check_one(driver)


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("first", NAMES, ids=["phone first", "lid first"])
async def test_operators_reach_it_by_either_name(driver: ScriptDriver, first: Conversation, by: Conversation):
    """Typing, flush_now, discard, pause and resume act on the one conversation by either peer."""
    await driver.append("m1", to=first)
    await link(driver, "m2")
    kept = await check_one(driver)
    driver.clock.advance(1_000)
    assert await driver.store.presence(by, "typing") == driver.clock() + 12_000 == await driver.wake_ms(kept)
    assert await driver.store.pause(by, 30_000) == await driver.wake_ms(kept)
    assert await driver.store.resume(by) is True
    assert await driver.wake_ms(kept) == driver.clock() + 12_000
    assert await driver.store.presence(by, "stopped") == driver.clock() - 1_000 + WINDOW_MS
    assert await driver.wake_ms(kept) == driver.clock() - 1_000 + WINDOW_MS
    assert await driver.store.flush_now(by) == 2
    assert await driver.wake_ms(kept) == driver.clock()
    assert await driver.store.discard(by) == (2, False)
    await check_one(driver)
    assert await deliver(driver) == []


@pytest.mark.parametrize("died", NAMES, ids=["phone", "lid"])
async def test_dead_letter_of_an_alias(driver: ScriptDriver, died: Conversation):
    """A dead letter of either peer is delivered again unchanged, in the one conversation, before anything new."""
    letter = await driver.make_dead_letter("m1", to=died)
    await driver.append("m2", to=NAMES[1 - NAMES.index(died)])
    await link(driver, "m3")
    kept = await check_one(driver)
    assert await driver.store.redrive(letter.flush_id) == "ok"
    again = await driver.claim_batch(kept)
    assert contents(again) == contents(letter)
    assert await driver.store.redrive(letter.flush_id) == "unknown"
    await driver.store.ack(driver.ref(kept), again.token)
    assert said(await deliver(driver)) == ["m2", "m3"]


async def test_sweep_takes_the_names(driver: ScriptDriver):
    """A swept person leaves no alias, and may come back under either peer."""
    for first in NAMES:
        await driver.append("m1", to=first)
        await link(driver, "m2")
        await deliver(driver)
        driver.clock.advance(8 * DAY_MS)
        assert await driver.store.sweep(0) == 1
        assert floor(await driver.all_keys()) == {"history"}


async def test_memory_of_both(open_driver: Callable[..., ScriptDriver]):
    """The merged seen set holds 16 bytes for each id, oldest first, and each id expires at its own time."""
    driver = open_driver(dedupe_ttl=100)
    for n in range(6):
        await driver.append(f"m{n}", to=NAMES[n % 2])
        driver.clock.advance(10_000)
    await link(driver, "m5")
    kept = await home(driver)
    memory = await driver.redis.get(driver.key("seen", kept))
    seconds = [int.from_bytes(memory[at + 8 : at + 12]) for at in range(0, len(memory), 16)]
    assert len(memory) == 6 * 16
    assert seconds == sorted(seconds)
    driver.clock.advance(41_000)
    assert [(await driver.append(f"m{n}", to=LID))[0].status for n in range(6)] == ["new"] + ["duplicate"] * 5
    assert await driver.redis.strlen(driver.key("seen", kept)) == 6 * 16


async def test_resent_request_that_told_the_names(driver: ScriptDriver):
    """If the reply to the request that merged two conversations was lost, its repetition gets the same reply."""
    await driver.append("m1", to=LID)
    await driver.append("m2", to=PHONE)
    request = linked("m3", nonce=b"aaaa")
    first = await driver.store.append([request])
    driver.clock.advance(500)
    assert await driver.store.append([request]) == first
    assert (await driver.counters())["messages_accepted"] == 3


async def test_disabled_buffer(open_driver: Callable[..., ScriptDriver]):
    """With the buffer disabled two peers are one person too, and each message is a batch of its own."""
    driver = open_driver(message_buffer_enabled=False)
    await driver.append("m1", to=LID)
    driver.clock.advance(1)
    await driver.append("m2", to=PHONE)
    await link(driver, "m3")
    await check_one(driver)
    assert [ids(batch) for batch in await deliver(driver)] == [["m1"], ["m2"], ["m3"]]


async def test_names_share_a_slot(open_driver: Callable[..., ScriptDriver]):
    """With any number of partitions all keys and aliases of a person are in the partition of the channel."""
    driver = open_driver(redis_partitions=16)
    await driver.append("m1", to=LID)
    await driver.append("m2", to=PHONE)
    await link(driver, "m3")
    tags = {key.partition("{")[2].partition("}")[0] for key in await driver.all_keys()}
    assert tags == {f"p{driver.ref(PHONE).partition}"}
