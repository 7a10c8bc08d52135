"""A message that comes under two names of a person is one message, where ids are unique in a channel."""

from __future__ import annotations

import pytest

from buffer.keys import fingerprint_of
from buffer.models import Append, Conversation
from tests.lua.aliases import LID, NAMES, PHONE, check_one, deliver, home, said
from tests.lua.conversation_states import STATES
from tests.lua.driver import WINDOW_MS, ScriptDriver
from tests.messages import message

OTHER_PHONE = PHONE._replace(peer="551190000099")


def unique(message_id: str, to: Conversation, **fields: object) -> Append:
    """Return a message whose id is unique in its channel."""
    return message(message_id, to, **fields)._replace(is_unique_in_channel=True)  # type: ignore[arg-type]


async def say(driver: ScriptDriver, message_id: str, to: Conversation) -> str:
    """Append one message. Return its status."""
    [appended] = await driver.store.append([unique(message_id, to)])
    return appended.status


async def held(driver: ScriptDriver) -> int:
    """Return the number of ids that the partition remembers."""
    return sum([await driver.redis.hlen(driver.store.keys.of(0, "ids", one)) for one in ("new", "old")])


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
async def test_second_name_is_learned(driver: ScriptDriver, first: Conversation):
    """The second copy is a duplicate, and from then on both names are one conversation that replies to the phone."""
    second = NAMES[1 - NAMES.index(first)]
    assert await say(driver, "m1", first) == "new"
    assert await say(driver, "m1", second) == "duplicate"
    for n, who in enumerate((first, second)):
        assert await say(driver, f"own {n}", who) == "new"
    kept = await check_one(driver)
    assert (await driver.conv(kept))["peer"] == PHONE.peer
    assert said(await deliver(driver)) == ["m1", "own 0", "own 1"]


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
async def test_after_the_flush(driver: ScriptDriver, first: Conversation):
    """A copy that comes after the delivery opens no burst."""
    await say(driver, "m1", first)
    assert said(await deliver(driver)) == ["m1"]
    assert await say(driver, "m1", NAMES[1 - NAMES.index(first)]) == "duplicate"
    assert await deliver(driver) == []
    await check_one(driver)


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("state", STATES)
async def test_second_name_has_a_conversation(driver: ScriptDriver, state: str, first: Conversation):
    """Whatever the second name is doing, it is merged, and everything is delivered once."""
    expected = await STATES[state](driver, NAMES[1 - NAMES.index(first)])
    driver.clock.advance(1)
    await say(driver, "twin", first)
    driver.clock.advance(1)
    assert await say(driver, "twin", NAMES[1 - NAMES.index(first)]) == "duplicate"
    await check_one(driver)
    assert said(await deliver(driver)) == [*expected, "twin"]


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
async def test_in_one_call(driver: ScriptDriver, first: Conversation):
    """Both copies may be in one call, also among many others, and a resend gives the same answers."""
    second = NAMES[1 - NAMES.index(first)]
    messages = [unique("m1", first, nonce=b"1111"), unique("m2", second, nonce=b"2222"), unique("m1", second)]
    assert [one.status for one in await driver.store.append(messages)] == ["new", "new", "duplicate"]
    assert [one.status for one in await driver.store.append(messages)] == ["new", "new", "duplicate"]
    await check_one(driver)
    assert sorted(said(await deliver(driver))) == ["m1", "m2"]


async def test_two_phones_stay_two(driver: ScriptDriver):
    """Two phone numbers with the same id are two people, also when one of them came under a LID first."""
    assert [await say(driver, "m1", who) for who in (PHONE, OTHER_PHONE)] == ["new", "new"]
    assert await say(driver, "m1", LID) == "duplicate"
    assert await say(driver, "m2", LID) == "new"
    assert await say(driver, "m2", PHONE) == "new"
    names = (PHONE, OTHER_PHONE, LID)
    assert len({await home(driver, who) for who in names[:2]}) == 2
    assert sorted(said(await deliver(driver, *names))) == ["m1", "m1", "m2", "m2"]


@pytest.mark.parametrize(
    "other", [LID._replace(channel="other"), LID._replace(gateway="waha")], ids=["channel", "gateway"]
)
async def test_other_channel(driver: ScriptDriver, other: Conversation):
    """An id says nothing about another channel."""
    assert [await say(driver, "m1", who) for who in (PHONE, other)] == ["new", "new"]


async def test_ids_of_their_own(driver: ScriptDriver):
    """Messages of gateways whose ids are per chat are two, and cost no memory."""
    assert [(await driver.append("m1", to=who))[0].status for who in NAMES] == ["new", "new"]
    assert await held(driver) == 0


async def test_forgotten_id(driver: ScriptDriver):
    """An id that its conversation no longer remembers merges nobody."""
    await say(driver, "m1", LID)
    await deliver(driver)
    driver.clock.advance(8 * 86_400_000)
    assert await say(driver, "m1", PHONE) == "new"
    assert await driver.redis.exists(driver.partition_key("alias")) == 0


async def test_memory_is_bounded(driver: ScriptDriver, monkeypatch: pytest.MonkeyPatch):
    """Of any number of ids two generations stay, the latest always among them."""
    monkeypatch.setattr(driver.store, "_rules", driver.store._rules._replace(ids_max=300))
    counting = next(f"c{n}" for n in range(10_000) if fingerprint_of(f"c{n}")[0] == 0)
    for n in range(10):
        ids = [f"{n}-{i}" for i in range(200)]
        await driver.store.append([unique(one, PHONE._replace(peer=f"{n}")) for one in [*ids, counting]])
        assert await held(driver) <= 2 * 500
        twin = await driver.store.append([unique(ids[-1], LID._replace(peer=f"{n}@lid"))])
        assert twin[0].status == "duplicate"


async def test_memory_of_another_type(driver: ScriptDriver):
    """Without its memory of ids a partition accepts messages; two copies are two then."""
    await driver.redis.set(driver.store.keys.of(0, "ids", "new"), "not ours")
    assert [await say(driver, "m1", who) for who in NAMES] == ["new", "new"]
    await driver.clean()


async def test_damaged_owner(driver: ScriptDriver):
    """A copy of a message whose conversation is damaged is refused, and its neighbours are stored."""
    await say(driver, "m1", LID)
    await driver.redis.delete(driver.key("buffer", LID))
    found = await driver.store.append([unique("n1", OTHER_PHONE), unique("m1", PHONE), unique("n2", OTHER_PHONE)])
    assert [one.status for one in found] == ["new", "broken", "new"]
    driver.clock.advance(WINDOW_MS)
    await driver.clean()
