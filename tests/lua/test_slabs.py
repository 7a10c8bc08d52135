"""The seen set of a conversation that remembers many ids: an append costs what it adds, and every rule still holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from buffer.keys import fingerprint_of
from buffer.models import Change, Conversation
from tests.lua.aliases import LID, NAMES, PHONE, check_one, floor, link
from tests.lua.driver import ANA, BIA, ScriptDriver
from tests.messages import message

RECORD_SIZE = 16
SLAB_SIZE_MAX = 64 * RECORD_SIZE
IDS_PER_CALL = 100
CROWD = 400

Damage = Callable[[ScriptDriver], Awaitable[Any]]


async def say(driver: ScriptDriver, first: int, last: int, to: Conversation = ANA) -> set[str]:
    """Append the messages m<first> … m<last - 1>. Return the statuses."""
    statuses: set[str] = set()
    for start in range(first, last, IDS_PER_CALL):
        names = [f"m{number}" for number in range(start, min(start + IDS_PER_CALL, last))]
        statuses |= {one.status for one in await driver.append(*names, to=to)}
    return statuses


async def slabs(driver: ScriptDriver, to: Conversation = ANA) -> list[bytes]:
    """Return the slabs of a conversation. Check that `seen` is their mark."""
    found: dict[bytes, bytes] = await driver.redis.hgetall(driver.key("slabs", to))
    assert await driver.redis.get(driver.key("seen", to)) == b"slabs" + len(found).to_bytes(3)
    return list(found.values())


async def test_few_ids_are_one_string(driver: ScriptDriver):
    """Up to 256 ids lie in one string, and no other key."""
    await say(driver, 0, 256)
    assert await driver.redis.strlen(driver.key("seen")) == 256 * RECORD_SIZE
    assert not await driver.redis.exists(driver.key("slabs"))


@pytest.mark.parametrize("count", [CROWD, 2_000])
async def test_many_ids_are_duplicates(driver: ScriptDriver, count: int):
    """Every id of a crowded conversation is a duplicate, and a message id of another conversation is not."""
    assert await say(driver, 0, count) == {"new"}
    assert await say(driver, 0, count) == {"duplicate"}
    assert await say(driver, 0, 10, to=BIA) == {"new"}
    assert sum(map(len, await slabs(driver))) == count * RECORD_SIZE


async def test_slabs_stay_small(driver: ScriptDriver):
    """However many ids there are, an append reads and writes little, and an id takes at most 32 bytes."""
    await say(driver, 0, 5_000)
    found = await slabs(driver)
    assert max(map(len, found)) < 3 * SLAB_SIZE_MAX
    assert await driver.redis.memory_usage(driver.key("slabs"), samples=0) <= 32 * 5_000


async def test_an_append_runs_as_many_commands_as_ever(driver: ScriptDriver):
    """An append to a conversation with 3,000 ids runs no more commands than one to a conversation with 400."""
    await say(driver, 0, CROWD)
    await say(driver, 0, 3_000, to=BIA)
    slabs_before = len(await slabs(driver, BIA))
    few, many = [await commands_of(driver, f"x{number}", to) for number, to in enumerate((ANA, BIA))]
    assert len(await slabs(driver, BIA)) == slabs_before, "this append split a slab: take another id"
    assert few == many


async def commands_of(driver: ScriptDriver, message_id: str, to: Conversation) -> list[str]:
    """Return the commands that the script runs for the append of a message."""
    commands: list[str] = []
    async with driver.redis.monitor() as monitor:
        await driver.append(message_id, to=to)
        await driver.redis.echo("end")
        async for heard in monitor.listen():
            command = heard["command"].split()[0].lower()
            if command == "echo":
                break
            if heard["client_type"] == "lua":
                commands.append(command)
    return commands


async def test_resend_answers_as_the_first_time(driver: ScriptDriver):
    """A resent append to a crowded conversation gets the reply of the first, and its nonce decides."""
    await say(driver, 0, CROWD)
    request = [message("r1", ANA, nonce=b"aaaa"), message("r2", ANA, nonce=b"aaaa")]
    first = await driver.store.append(request)
    again = await driver.store.append(request)
    assert [one.status for one in first] == [one.status for one in again] == ["new", "new"]
    assert [one.status for one in await driver.append("r1", "r2", nonce=b"bbbb")] == ["duplicate"] * 2
    assert (await driver.counters())["resent"] == 2


async def test_id_expires_at_its_own_time(open_driver):
    """An id in a slab is a duplicate to the end of DEDUPE_TTL, then it is new and its old record is gone."""
    driver = open_driver(dedupe_ttl=1_000)
    await say(driver, 0, CROWD)
    driver.clock.advance(500_000)
    await say(driver, CROWD, 2 * CROWD)
    driver.clock.advance(500_000)
    assert {(await driver.append(name))[0].status for name in ("m0", "m399", "m400")} == {"duplicate"}
    driver.clock.advance(1)
    assert (await driver.append("m0"))[0].status == "new"
    assert await say(driver, CROWD, 2 * CROWD) == {"duplicate"}
    assert await say(driver, 1, CROWD) == {"new"}
    assert sum(map(len, await slabs(driver))) <= 2 * CROWD * RECORD_SIZE


async def test_slabs_shrink_with_their_ids(open_driver):
    """When the crowd is over, the slabs become fewer with each message, and in the end the set is a string again."""
    driver = open_driver(dedupe_ttl=1_000)
    await say(driver, 0, 2_000)
    assert len(await slabs(driver)) > 30
    for number in range(80):
        driver.clock.advance(1_002_000)
        await driver.append(f"later{number}")
    assert not await driver.redis.exists(driver.key("slabs"))
    assert await driver.redis.strlen(driver.key("seen")) == RECORD_SIZE


@pytest.mark.parametrize(("phone_ids", "lid_ids"), [(20, 600), (600, 20), (400, 2_000), (2_000, 400), (200, 200)])
async def test_both_memories_are_kept(driver: ScriptDriver, phone_ids: int, lid_ids: int):
    """Merged conversations remember the ids of both, each once, whichever had slabs."""
    await say(driver, 0, phone_ids, to=PHONE)
    driver.clock.advance(1_000)
    await say(driver, 10_000, 10_000 + lid_ids, to=LID)
    await say(driver, 0, 10, to=LID)
    await link(driver, "both")
    kept = await check_one(driver)
    assert sum(map(len, await slabs(driver, kept))) == (phone_ids + lid_ids + 1) * RECORD_SIZE
    for name in NAMES:
        assert await say(driver, 0, phone_ids, to=name) | await say(driver, 10_000, 10_000 + lid_ids, to=name) == {
            "duplicate"
        }


async def test_edit_and_revoke_come_late(driver: ScriptDriver):
    """An edit or a revoke of a message that a slab remembers and no burst holds is late."""
    await say(driver, 0, CROWD)
    await driver.store.discard(ANA)
    assert await driver.store.edit(ANA, Change(fingerprint_of("m7"), None, b"{}")) == "late"
    assert await driver.store.revoke(ANA, fingerprint_of("m399")) == "late"
    assert await driver.store.revoke(ANA, fingerprint_of("m400")) == "early"


async def test_sweep_leaves_nothing(driver: ScriptDriver):
    """A swept conversation leaves no slabs."""
    await say(driver, 0, CROWD)
    await driver.store.discard(ANA)
    driver.clock.advance(8 * 86_400_000)
    assert await driver.store.sweep(0) == 1
    assert floor(await driver.all_keys()) == {"history"}


async def missing(driver: ScriptDriver) -> None:
    await driver.redis.delete(driver.key("slabs"))


async def another_type(driver: ScriptDriver) -> None:
    await driver.redis.delete(driver.key("slabs"))
    await driver.redis.set(driver.key("slabs"), "not ours")


async def one_less(driver: ScriptDriver) -> None:
    await driver.redis.hdel(driver.key("slabs"), "3")


async def longer_mark(driver: ScriptDriver) -> None:
    await driver.redis.append(driver.key("seen"), b"half")


@pytest.mark.parametrize("damage", [missing, another_type, one_less, longer_mark], ids=lambda one: one.__name__)
async def test_damaged_slabs_start_anew(driver: ScriptDriver, damage: Damage):
    """Messages of a conversation with damaged slabs are refused until a claim has set its memory aside."""
    await say(driver, 0, CROWD)
    await driver.store.discard(ANA)
    await damage(driver)
    found = await driver.store.append([message("b1", BIA), message("x1", ANA), message("b2", BIA)])
    assert [one.status for one in found] == ["new", "broken", "new"]
    with pytest.raises(Exception, match="damaged"):
        await driver.store.revoke(ANA, fingerprint_of("m1"))
    assert (await driver.claim()).status == "empty"
    assert await driver.redis.exists(driver.store.keys.of(0, "sick", f"seen:{driver.ref().hash}"))
    assert await say(driver, 0, CROWD) == {"new"}
    assert await say(driver, 0, CROWD) == {"duplicate"}


async def test_half_a_record_in_a_slab(driver: ScriptDriver):
    """Bytes at the end of a slab that are no record are left out, and no other id is forgotten."""
    await say(driver, 0, CROWD)
    for number in range(len(await slabs(driver))):
        slab = await driver.redis.hget(driver.key("slabs"), number)
        await driver.redis.hset(driver.key("slabs"), number, slab + b"half")
    assert await say(driver, 0, 500) == {"new", "duplicate"}
    assert await say(driver, 0, 500) == {"duplicate"}
    assert (await driver.counters())["messages_accepted"] == 500


async def test_slabs_of_nobody(driver: ScriptDriver):
    """A key of another type in the place of slabs that are yet to come stops nothing."""
    await driver.redis.set(driver.key("slabs"), "not ours")
    assert await say(driver, 0, 400) == {"new"}
    assert await say(driver, 0, 400) == {"duplicate"}
