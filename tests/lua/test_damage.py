"""A damaged key of one conversation is that conversation's trouble: its neighbours in the call are not touched."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from buffer.errors import ConversationBroken, StoreError
from buffer.keys import fingerprint_of
from buffer.models import Append, Change, Conversation
from tests.lua.aliases import LID, PHONE, deliver, linked, said
from tests.lua.driver import ANA, BIA, WINDOW_MS, ScriptDriver, ids
from tests.messages import message

SICK = Conversation("generic", "loja", "sick")
OWN_KINDS = ("conv", "buffer", "batch", "seen", "slabs", "timer", "lock", "media", "mark", "redrive")

Break = Callable[[ScriptDriver, Conversation], Awaitable[Any]]


async def short_window(driver: ScriptDriver, who: Conversation) -> None:
    await driver.redis.hset(driver.key("conv", who), "window", b"12345")


async def false_window(driver: ScriptDriver, who: Conversation) -> None:
    await driver.redis.hset(driver.key("conv", who), "window", b"garbage of some length")


async def missing_list(driver: ScriptDriver, who: Conversation) -> None:
    await driver.redis.delete(driver.key("buffer", who))


async def longer_list(driver: ScriptDriver, who: Conversation) -> None:
    await driver.redis.rpush(driver.key("buffer", who), b"not one of ours")


async def cut_ids(driver: ScriptDriver, who: Conversation) -> None:
    await driver.redis.append(driver.key("seen", who), b"half")


def another_type(kind: str) -> Break:
    """Return a function that makes the key of a kind a set."""

    async def make_set(driver: ScriptDriver, who: Conversation) -> None:
        await driver.redis.delete(driver.key(kind, who))
        await driver.redis.sadd(driver.key(kind, who), "not ours")

    return make_set


FORMS = {one.__name__: one for one in (short_window, false_window, missing_list, longer_list, cut_ids)}
FATAL = FORMS | {kind: another_type(kind) for kind in ("conv", "buffer", "seen", "media", "mark")}
MOVED = FATAL | {kind: another_type(kind) for kind in ("batch", "redrive")}
HARMLESS = {kind: another_type(kind) for kind in OWN_KINDS if kind not in FATAL}


def lot() -> list[Append]:
    """Return messages of three people, those of the sick one between the others."""
    media = message("s2", SICK)._replace(media=b"aGk=")
    return [message("a1", ANA), message("s1", SICK), message("b1", BIA), media, message("a2", ANA)]


async def fall_sick(driver: ScriptDriver, damage: Break, who: Conversation = SICK) -> None:
    """Give a person an open burst and a pending change, then break one of the person's keys."""
    await driver.append("s0", to=who)
    await driver.store.edit(who, Change(b"unsent..", None, b"{}"))
    await damage(driver, who)


async def keys_of(driver: ScriptDriver, who: Conversation) -> dict[str, bytes]:
    """Return the values of all keys of a person."""
    return {kind: value for kind in OWN_KINDS if (value := await driver.redis.dump(driver.key(kind, who)))}


@pytest.mark.parametrize("damage", FATAL.values(), ids=FATAL)
async def test_neighbours_of_a_sick_conversation(driver: ScriptDriver, damage: Break):
    """The sick one gets `broken`, the others are stored with the memory of their ids, and a resend doubles nothing."""
    await fall_sick(driver, damage)
    before = await keys_of(driver, SICK)
    messages = lot()
    if damage is FATAL["media"]:
        del messages[1]
    statuses = ["new" if one.conversation != SICK else "broken" for one in messages]
    for _ in range(2):
        assert [one.status for one in await driver.store.append(messages)] == statuses
    assert await keys_of(driver, SICK) == before, "nothing of it is stored"
    again = await driver.store.append([one._replace(nonce=b"othr") for one in messages])
    assert [one.status for one in again] == [status.replace("new", "duplicate") for status in statuses]
    assert await driver.wake_ms(SICK) is not None, "a claim looks at it"
    driver.clock.advance(WINDOW_MS)
    assert (ids(await driver.claim_batch(ANA)), ids(await driver.claim_batch(BIA))) == (["a1", "a2"], ["b1"])
    await driver.clean()


@pytest.mark.parametrize("damage", FATAL.values(), ids=FATAL)
async def test_sick_conversation_recovers(driver: ScriptDriver, damage: Break):
    """Once its keys are gone the same messages are accepted."""
    await fall_sick(driver, damage)
    await driver.store.append(lot())
    for kind in OWN_KINDS:
        await driver.redis.delete(driver.key(kind, SICK))
    found = await driver.store.append(lot())
    assert [one.status for one in found] == ["duplicate", "new", "duplicate", "new", "duplicate"]
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch(SICK)) == ["s1", "s2"]


@pytest.mark.parametrize("damage", HARMLESS.values(), ids=HARMLESS)
async def test_keys_that_an_append_does_not_use(driver: ScriptDriver, damage: Break):
    """Messages are accepted beside a damaged key that only a worker uses."""
    await fall_sick(driver, damage)
    assert {one.status for one in await driver.store.append(lot())} == {"new"}
    await driver.clean()


@pytest.mark.parametrize("kind", ["idle", "history", "counters", "channels", "dead"])
async def test_records_of_the_partition(driver: ScriptDriver, kind: str):
    """Without its records a partition still accepts and remembers messages, also those that end in a record."""
    await driver.store.revoke(ANA, fingerprint_of("a2"))
    await driver.redis.delete(driver.partition_key(kind))
    await driver.redis.set(driver.partition_key(kind), "not ours")
    messages = lot()
    for _ in range(2):
        found = [one.status for one in await driver.store.append(messages)]
        assert found[:4] == ["new"] * 4
    assert await driver.depth(BIA) == 1
    await driver.clean()


@pytest.mark.parametrize("kind", ["wake", "alias"])
async def test_keys_that_a_partition_cannot_do_without(driver: ScriptDriver, kind: str):
    """Without wake index or aliases the whole call is refused, and not one message of it is stored."""
    await driver.append("a0")
    before = [await keys_of(driver, who) for who in (ANA, BIA)]
    await driver.redis.delete(driver.partition_key(kind))
    await driver.redis.set(driver.partition_key(kind), "not ours")
    with pytest.raises(StoreError, match=r"WRONGTYPE|wrong kind of value"):
        await driver.store.append(lot())
    assert [await keys_of(driver, who) for who in (ANA, BIA)] == before
    await driver.clean()


@pytest.mark.parametrize("sick", [PHONE, LID], ids=["phone", "lid"])
@pytest.mark.parametrize("damage", MOVED.values(), ids=MOVED)
async def test_sick_conversation_is_not_merged(driver: ScriptDriver, damage: Break, sick: Conversation):
    """A merge that meets a damaged key on either side changes neither, and the neighbours are accepted."""
    well = LID if sick == PHONE else PHONE
    await driver.append("w0", to=well)
    await fall_sick(driver, damage, sick)
    before = [await keys_of(driver, who) for who in (PHONE, LID)]
    found = await driver.store.append([message("a1", ANA), linked("both"), message("b1", BIA)])
    assert [one.status for one in found] == ["new", "broken", "new"]
    assert [await keys_of(driver, who) for who in (PHONE, LID)] == before
    await driver.clean()


@pytest.mark.parametrize("damage", MOVED.values(), ids=MOVED)
async def test_changes_of_a_sick_conversation(driver: ScriptDriver, damage: Break):
    """An edit or revoke that meets a damaged key says which key it is, and changes nothing."""
    await fall_sick(driver, damage)
    before = await keys_of(driver, SICK)
    with pytest.raises(ConversationBroken, match=r"damaged: the key \S+:\w+:\S+ has another type or form"):
        await driver.store.edit(SICK, Change(fingerprint_of("s0"), None, b"{}"))
    with pytest.raises(ConversationBroken, match="damaged"):
        await driver.store.revoke(SICK, fingerprint_of("s0"))
    assert await keys_of(driver, SICK) == before
    await driver.clean()


async def test_list_without_a_window(driver: ScriptDriver):
    """A burst whose window is lost can be edited, revoked and continued, and is delivered."""
    await driver.append("m1", "m2")
    await driver.redis.hdel(driver.key("conv"), "window")
    assert await driver.store.edit(ANA, Change(fingerprint_of("m1"), None, b"{}")) == "changed"
    assert await driver.store.revoke(ANA, fingerprint_of("m2")) == "removed"
    assert (await driver.append("m3"))[0] == ("new", driver.clock() + WINDOW_MS, 2)
    assert said(await deliver(driver, ANA)) == ["m1", "m3"]


def test_window_of_the_tests_is_false():
    """The false window has the form of a window."""
    assert len(struct.unpack_from(">HIHIII", b"garbage of some length")) == 6
