"""erase: after it, no key of the server holds anything of the person, whichever of their names was given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from buffer import person_store
from buffer.models import Conversation
from buffer.person_store import IDS_PER_ERASE, People
from tests.lua.aliases import LID, PHONE, deliver, linked
from tests.lua.driver import ANA, BIA, LEASE_MS, WINDOW_MS, ScriptDriver, ids
from tests.lua.reply_driver import ReplyDriver
from tests.messages import message

ALBA = "Alba Quintanilha"
TEXT = "quero cancelar o pedido de flores"
THIRD = Conversation("evolution", "loja", "br.900000000000001")
OTHER = Conversation("evolution", "loja", "5511900000002")
NAMES = (PHONE, LID, THIRD)


@pytest.fixture
def people(driver: ScriptDriver) -> People:
    """Return the operations on one person."""
    return People(driver.store)


async def contents(driver: ScriptDriver) -> dict[bytes, list[bytes]]:
    """Return every key of this test with all that it holds. Other tests use the server, too."""
    found: dict[bytes, list[bytes]] = {}
    redis: Any = driver.redis
    async for key in redis.scan_iter(f"{driver.store.keys.prefix}:*", count=1000):
        kind = (await redis.type(key)).decode()
        found[key] = await READS[kind](redis, key)
    return found


async def flat(pairs: Awaitable[Any]) -> list[bytes]:
    return [part for pair in await pairs for part in pair]


async def fields(redis: Any, key: bytes) -> list[bytes]:
    return [part for field, value in (await redis.hgetall(key)).items() for part in (field, value)]


async def stream(redis: Any, key: bytes) -> list[bytes]:
    return [part for _, entry in await redis.xrange(key) for pair in entry.items() for part in pair]


READS: dict[str, Callable[[Any, bytes], Awaitable[list[bytes]]]] = {
    "hash": fields,
    "stream": stream,
    "list": lambda redis, key: redis.lrange(key, 0, -1),
    "zset": lambda redis, key: redis.zrange(key, 0, -1),
    "set": lambda redis, key: redis.smembers(key),
    "string": lambda redis, key: _text(redis, key),
    "none": lambda redis, key: _text(redis, key),
}
"""How all that a key holds is read, by its type. A timer may end meanwhile."""


async def _text(redis: Any, key: bytes) -> list[bytes]:
    return [await redis.get(key) or b""]


async def traces(driver: ScriptDriver, *names: Conversation) -> list[str]:
    """Return where the server still has a number, a name, a text or a conversation hash of the person."""
    words = [name.peer for name in names] + [driver.ref(name).hash for name in names] + [ALBA, TEXT]
    left = []
    for key, held in (await contents(driver)).items():
        for word in words:
            if any(word.encode() in part for part in (key, *held)):
                left.append(f"{word} in {key.decode()}")
    return sorted(left)


def said(message_id: str, to: Conversation = PHONE, **options: Any) -> Any:
    """Return a message of the person."""
    return message(message_id, to, name=ALBA, text=TEXT, **options)


async def say(driver: ScriptDriver, message_id: str, to: Conversation = PHONE, **changes: Any) -> None:
    """Append a message of the person, with its id in the partition's memory."""
    [appended] = await driver.store.append([said(message_id, to)._replace(is_unique_in_channel=True, **changes)])
    assert appended.status in ("new", "discarded")


async def claim(driver: ScriptDriver, to: Conversation = PHONE) -> Any:
    driver.clock.advance(WINDOW_MS)
    return await driver.claim_batch(to)


# Each brings the person into a state, and returns what an erase must count: conversations, messages, letters, doubts.
async def collecting(driver: ScriptDriver, _: ReplyDriver) -> tuple[int, ...]:
    await say(driver, "m1", media=b"aGk=")
    return 1, 1, 0, 0


async def idle(driver: ScriptDriver, _: ReplyDriver) -> tuple[int, ...]:
    await say(driver, "m1")
    batch = await claim(driver)
    await driver.store.ack(driver.ref(PHONE), batch.token)
    return 1, 0, 0, 0


async def in_flight(driver: ScriptDriver, _: ReplyDriver) -> tuple[int, ...]:
    await say(driver, "m1")
    await claim(driver)
    await say(driver, "m2")
    return 1, 2, 0, 0


async def suspected(driver: ScriptDriver, _: ReplyDriver) -> tuple[int, ...]:
    await say(driver, "m1")
    for _i in range(3):
        await claim(driver)
        driver.clock.advance(LEASE_MS)
    return 1, 1, 0, 0


async def dead(driver: ScriptDriver, _: ReplyDriver) -> tuple[int, ...]:
    await say(driver, "m1", media=b"aGk=")
    batch = await claim(driver)
    await driver.fail(batch.token, "dead", to=PHONE)
    return 1, 1, 1, 0


async def dead_and_forgotten(driver: ScriptDriver, replies: ReplyDriver) -> tuple[int, ...]:
    await dead(driver, replies)
    driver.clock.advance(driver.store.settings.dedupe_ttl_ms + 1)
    assert await driver.store.sweep(0) == 1
    return 0, 1, 1, 0


async def redriven(driver: ScriptDriver, replies: ReplyDriver) -> tuple[int, ...]:
    await dead(driver, replies)
    [letter] = (await driver.store.dead_letters(0)).page
    await driver.store.redrive(letter.flush_id)
    return 1, 1, 1, 0


async def in_doubt(driver: ScriptDriver, replies: ReplyDriver) -> tuple[int, ...]:
    await say(driver, "m1")
    batch = await claim(driver)
    await replies.answer(batch, TEXT, "até logo", to=PHONE, answer=TEXT.encode())
    await replies.begin(batch, to=PHONE, own_id="ours-1")
    await replies.end(batch, end="in_doubt", to=PHONE)
    return 1, 1, 0, 1


async def replied(driver: ScriptDriver, replies: ReplyDriver) -> tuple[int, ...]:
    await say(driver, "m1")
    batch = await claim(driver)
    await replies.answer(batch, TEXT, "até logo", to=PHONE, answer=TEXT.encode())
    await replies.send(batch, to=PHONE)
    return 1, 1, 0, 0


async def paused(driver: ScriptDriver, _: ReplyDriver) -> tuple[int, ...]:
    await driver.store.pause(PHONE, 60_000)
    return 1, 0, 0, 0


async def revoked_early(driver: ScriptDriver, _: ReplyDriver) -> tuple[int, ...]:
    await driver.store.revoke(PHONE, b"f" * 8)
    return 1, 0, 0, 0


async def discarded(driver: ScriptDriver, replies: ReplyDriver) -> tuple[int, ...]:
    await collecting(driver, replies)
    await driver.store.discard(PHONE)
    return 1, 0, 0, 0


async def crowded(driver: ScriptDriver, _: ReplyDriver) -> tuple[int, ...]:
    await driver.store.append([said(f"m{i}") for i in range(300)])
    await driver.store.append([said(f"n{i}") for i in range(10)])
    assert await driver.redis.exists(driver.key("slabs", PHONE))
    return 1, 310, 0, 0


async def under_several_names(driver: ScriptDriver, _: ReplyDriver) -> tuple[int, ...]:
    await say(driver, "m1")
    await claim(driver)
    await say(driver, "m2", LID)
    await claim(driver, LID)
    await driver.store.append([linked("m3", PHONE, LID, name=ALBA, text=TEXT)])
    await driver.store.append([linked("m4", THIRD, PHONE, name=ALBA, text=TEXT)])
    return 2, 4, 0, 0


async def set_aside(driver: ScriptDriver, replies: ReplyDriver) -> tuple[int, ...]:
    await dead(driver, replies)
    await say(driver, "m2")
    await driver.redis.set(driver.key("conv", PHONE), TEXT)
    driver.clock.advance(WINDOW_MS)
    await driver.claim(PHONE)
    assert await driver.redis.exists(driver.partition_key("sick") + ":conv:" + driver.ref(PHONE).hash)
    return 1, 2, 1, 0


STATES = (
    *(collecting, idle, in_flight, suspected, dead, dead_and_forgotten, redriven, in_doubt, replied, paused),
    *(revoked_early, discarded, crowded, under_several_names, set_aside),
)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_nothing_is_left(driver: ScriptDriver, replies: ReplyDriver, people: People, state: Any):
    """No key holds a number, a name, a text or a hash, and the messages are counted."""
    expected = await state(driver, replies)
    assert await traces(driver, *NAMES) != []
    erased = await people.erase(PHONE)
    assert await traces(driver, *NAMES) == []
    assert (erased.conversations, erased.messages, erased.dead_letters, erased.doubts) == expected
    assert str(driver.ref(PHONE)) in erased.refs


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.peer)
async def test_every_name_will_do(driver: ScriptDriver, replies: ReplyDriver, people: People, name: Conversation):
    """Whichever name is given, all names are erased."""
    await under_several_names(driver, replies)
    erased = await people.erase(name)
    assert erased.messages == 4
    assert await traces(driver, *NAMES) == []
    assert {str(driver.ref(each)) for each in NAMES} <= set(erased.refs)


async def test_by_ref(driver: ScriptDriver, replies: ReplyDriver, people: People):
    """A ref of any name will do, too."""
    await under_several_names(driver, replies)
    await people.erase_ref(driver.ref(LID))
    assert await traces(driver, *NAMES) == []


async def test_alias_that_no_conversation_tells_of(driver: ScriptDriver, replies: ReplyDriver, people: People):
    """An alias is found although the conversation that it leads to cannot be read any more."""
    await under_several_names(driver, replies)
    for name in NAMES:
        await driver.redis.hdel(driver.key("conv", name), "aliases")
    await people.erase(PHONE)
    assert await driver.redis.exists(driver.partition_key("alias")) == 0
    assert await traces(driver, *NAMES) == []


async def test_number_of_before(open_driver: Callable[..., ScriptDriver]):
    """A number that was stored as the gateway spelled it is found after CANONICAL_PHONES was set."""
    spelled = Conversation("evolution", "loja", "551190000001")
    await say(open_driver(canonical_phones=False), "m1", spelled)
    driver = open_driver()
    assert (await People(driver.store).erase(spelled)).messages == 1
    assert await traces(driver, spelled) == []


async def test_dead_letter_of_a_forgotten_alias(driver: ScriptDriver, replies: ReplyDriver, people: People):
    """A dead letter outlives the aliases of its person: the name in it tells whose it is."""
    await dead(driver, replies)
    await driver.store.append([linked("m3", LID, PHONE, name=ALBA, text=TEXT)])
    await deliver(driver)
    driver.clock.advance(driver.store.settings.dedupe_ttl_ms + 1)
    assert await driver.store.sweep(0) == 1
    await driver.redis.hset(driver.partition_key("letter") + ":" + await first_letter(driver), "peer", LID.peer)
    assert (await people.erase(LID)).dead_letters == 1
    assert await traces(driver, *NAMES) == []


async def test_dead_letter_that_cannot_be_read(driver: ScriptDriver, replies: ReplyDriver, people: People):
    """A dead letter whose fields cannot be read is found by its id, which names the conversation."""
    await dead(driver, replies)
    await driver.redis.set(driver.partition_key("letter") + ":" + await first_letter(driver), TEXT)
    assert (await people.erase(PHONE)).dead_letters == 1
    assert await traces(driver, *NAMES) == []


async def first_letter(driver: ScriptDriver) -> str:
    return (await driver.store.dead_letters(0)).page[0].flush_id


async def test_others_stay(driver: ScriptDriver, people: People):
    """A neighbour keeps everything, dead letters and history too."""
    for who in (PHONE, OTHER):
        await driver.store.append([message(f"m-{who.peer}", who)._replace(is_unique_in_channel=True)])
        batch = await claim(driver, who)
        await driver.fail(batch.token, "dead", to=who)
        await driver.append(f"n-{who.peer}", to=who)
    before = await traces(driver, OTHER)
    await people.erase(PHONE)
    assert await traces(driver, OTHER) == before
    assert [letter.conversation for letter in (await driver.store.dead_letters(0)).page] == [OTHER]


async def test_second_erase(driver: ScriptDriver, replies: ReplyDriver, people: People):
    """A second erase finds nothing, changes nothing and records nothing."""
    await in_doubt(driver, replies)
    await people.erase(PHONE)
    before = await contents(driver)
    again = await people.erase(PHONE)
    assert (again.conversations, again.messages, again.dead_letters, again.doubts, again.records) == (0, 0, 0, 0, 0)
    assert await contents(driver) == before


async def test_record(driver: ScriptDriver, replies: ReplyDriver, people: People):
    """The erase is recorded with what was discarded, and without the person."""
    await in_flight(driver, replies)
    await people.erase_ref(driver.ref(PHONE))
    [entry] = await driver.history()
    assert (entry["outcome"], entry["cause"], int(entry["messages"])) == ("discarded", "erased", 2)
    assert (entry["gateway"], entry["channel"]) == ("evolution", "loja")
    assert {"ref", "peer", "flush_id"} & set(entry) == set()


async def test_one_record_of_one_erase(driver: ScriptDriver, replies: ReplyDriver, people: People, monkeypatch: Any):
    """An erase of several calls has one record of all its messages, and so has the next erase on the channel."""
    monkeypatch.setattr(person_store, "IDS_PER_ERASE", 1)
    for _ in range(2):
        await dead(driver, replies)
        await say(driver, "m2")
        batch = await claim(driver)
        await driver.fail(batch.token, "dead", to=PHONE)
        await say(driver, "m3")
        await people.erase(PHONE)
    records = [(entry["cause"], entry["channel"], entry["messages"]) for entry in await driver.history()]
    assert records == [("erased", "loja", 3)] * 2
    assert (await driver.tally(PHONE))["messages_discarded"] == 6


async def test_records_are_counted(driver: ScriptDriver, replies: ReplyDriver, people: People):
    """The history of the person goes, that of others stays."""
    await idle(driver, replies)
    batch = await driver.in_flight("b1", to=BIA)
    await driver.store.ack(driver.ref(BIA), batch.token)
    assert (await people.erase(PHONE)).records == 1
    assert [entry.get("ref") for entry in await driver.history()] == [None, str(driver.ref(BIA))]


async def test_worker_in_flight_has_lost(driver: ScriptDriver, replies: ReplyDriver, people: People):
    """Every later call of the worker is answered `lost`, and none of them brings a key back."""
    await in_flight(driver, replies)
    [batch] = [await driver.claim_batch(PHONE)]
    await people.erase(PHONE)
    ref = driver.ref(PHONE)
    assert await driver.store.renew(ref, batch.token) == "lost"
    assert await replies.answer(batch, TEXT, to=PHONE) == "lost"
    assert (await replies.begin(batch, to=PHONE)).mark == "lost"
    for end in ("sent", "in_doubt", "refused", "later"):
        assert await replies.end(batch, end=end, message_id="id1", to=PHONE) == "lost"
    assert await driver.store.ack(ref, batch.token) == "lost"
    assert await driver.fail(batch.token, "dead", to=PHONE) == "lost"
    assert await driver.fail(batch.token, "release", to=PHONE) == "lost"
    assert (await driver.claim(PHONE, "w2")).status == "empty"
    assert await driver.dispatch() == []
    assert await traces(driver, *NAMES) == []


async def test_person_writes_again(driver: ScriptDriver, replies: ReplyDriver, people: People):
    """What the person writes afterwards is a new conversation, delivered as any other."""
    await in_flight(driver, replies)
    await people.erase(PHONE)
    await say(driver, "m1")
    assert ids(await claim(driver)) == ["m1"]


async def test_many_dead_letters(driver: ScriptDriver, people: People):
    """More dead letters than one call deletes are all found."""
    for i in range(IDS_PER_ERASE + 1):
        await driver.make_dead_letter(f"m{i}", to=ANA)
    assert (await people.erase(ANA)).dead_letters == IDS_PER_ERASE + 1
    assert (await driver.store.dead_letters(0)).total == 0
