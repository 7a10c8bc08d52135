"""dead_letters and discard_letter: what operators see of dead letters, and how they delete one."""

from __future__ import annotations

import pytest

from tests.lua.driver import ANA, BIA, ScriptDriver, ids
from tests.messages import message

PHOTO = b"QUJDREVG"
KINDS = ("letter", "remains")


def key(driver: ScriptDriver, kind: str, flush_id: str) -> str:
    """A key of one dead letter."""
    return driver.store.keys.of(0, kind, flush_id)


async def test_none(driver: ScriptDriver):
    """A partition without dead letters has an empty page."""
    assert await driver.store.dead_letters(0) == (driver.clock(), 0, [])


async def test_what_a_dead_letter_tells(driver: ScriptDriver):
    """Each is listed with its person, error, time of death, messages and attempts, the oldest first."""
    first = await driver.make_dead_letter("m1", "m2", to=ANA)
    died_ms = driver.clock()
    second = await driver.make_dead_letter("m3", to=BIA)
    found = await driver.store.dead_letters(0)
    assert (found.total, [letter.flush_id for letter in found.page]) == (2, [first.flush_id, second.flush_id])
    letter = found.page[0]
    assert (letter.conversation, letter.error, letter.died_ms) == (ANA, "refused", died_ms)
    assert (letter.messages, letter.attempts, letter.redriven_ms) == (2, 1, None)


async def test_pages(driver: ScriptDriver):
    """A page holds no more than its limit, and the total counts all."""
    letters = [(await driver.make_dead_letter(f"m{i}")).flush_id for i in range(5)]
    pages = [await driver.store.dead_letters(0, offset, 2) for offset in (0, 2, 4, 6)]
    assert [[letter.flush_id for letter in page.page] for page in pages] == [letters[:2], letters[2:4], letters[4:], []]
    assert {page.total for page in pages} == {5}


async def test_redriven_one_is_marked(driver: ScriptDriver):
    """A dead letter that waits to be delivered again says since when."""
    dead = await driver.make_dead_letter("m1")
    await driver.store.redrive(dead.flush_id)
    [letter] = (await driver.store.dead_letters(0)).page
    assert letter.redriven_ms == driver.clock()


@pytest.mark.parametrize("kind", ["letter", "remains"])
@pytest.mark.parametrize("fault", ["gone", "wrong type"])
async def test_a_broken_one_hides_no_other(driver: ScriptDriver, kind: str, fault: str):
    """A dead letter with a lost or unreadable key is listed with what is left of it, and can be discarded."""
    broken, whole = await driver.make_dead_letter("m1", to=ANA), await driver.make_dead_letter("m2", to=BIA)
    await driver.redis.delete(key(driver, kind, broken.flush_id))
    if fault == "wrong type":
        await driver.redis.set(key(driver, kind, broken.flush_id), "x")
    found = (await driver.store.dead_letters(0)).page
    assert [letter.flush_id for letter in found] == [broken.flush_id, whole.flush_id]
    assert (found[0].messages == 0) == (kind == "remains")
    assert (found[1].conversation, found[1].messages) == (BIA, 1)
    assert await driver.store.discard_letter(broken.flush_id) == "ok"
    assert [letter.flush_id for letter in (await driver.store.dead_letters(0)).page] == [whole.flush_id]


async def test_listing_changes_nothing(driver: ScriptDriver):
    """A list writes nothing."""
    await driver.make_dead_letter("m1")
    before = {name: await driver.redis.dump(name) for name in await driver.all_keys()}
    await driver.store.dead_letters(0)
    assert {name: await driver.redis.dump(name) for name in await driver.all_keys()} == before


async def test_discard_leaves_a_record(driver: ScriptDriver):
    """A discarded dead letter is gone with its messages and media; history and counters have it."""
    await driver.store.append([message("m1", ANA)._replace(media=PHOTO)])
    dead = await driver.make_dead_letter("m2")
    assert await driver.redis.exists(driver.key("media"))
    assert await driver.store.discard_letter(dead.flush_id, "operator") == "ok"
    assert not await driver.redis.exists(driver.key("media"), *(key(driver, kind, dead.flush_id) for kind in KINDS))
    record = (await driver.history())[0]
    assert (record["outcome"], record["cause"], record["messages"]) == ("discarded", "operator", 2)
    assert record["flush_id"] == dead.flush_id
    assert (await driver.counters())["messages_discarded"] == 2
    assert await driver.store.redrive(dead.flush_id) == "unknown"


async def test_discard_of_none(driver: ScriptDriver):
    """A flush_id without a dead letter is unknown: a batch in flight, one discarded before, another text."""
    batch = await driver.in_flight("m1")
    assert await driver.store.discard_letter(batch.flush_id) == "unknown"
    assert await driver.fail(batch.token, "dead") == "dead"
    assert await driver.store.discard_letter(batch.flush_id) == "ok"
    assert await driver.store.discard_letter(batch.flush_id) == "unknown"
    assert (await driver.counters())["messages_discarded"] == 1
    with pytest.raises(ValueError, match="<partition>-<hash>"):
        await driver.store.discard_letter("nonsense")


async def test_discard_after_a_redrive(driver: ScriptDriver):
    """A dead letter that was redriven and then discarded is not delivered, and what stands behind it is."""
    dead, next_one = await driver.make_dead_letter("m1"), await driver.make_dead_letter("m2")
    for letter in (dead, next_one):
        await driver.store.redrive(letter.flush_id)
    assert await driver.store.discard_letter(dead.flush_id) == "ok"
    batch = await driver.claim_batch()
    assert ids(batch) == ["m2"]
    await driver.store.ack(driver.ref(), batch.token)
    assert (await driver.claim()).status == "empty"
