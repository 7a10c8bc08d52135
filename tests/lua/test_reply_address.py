"""Replies go to the newest peer of the person, but never from a phone back to a LID."""

from __future__ import annotations

import pytest

from buffer.models import Append, Conversation
from tests.lua.aliases import LID, NAMES, PHONE, contents, deliver, link, linked
from tests.lua.driver import LEASE_MS, WINDOW_MS, ScriptDriver, ids
from tests.messages import message

REPLY_ORDERS = {
    "lid then phone": ([LID, PHONE], PHONE),
    "phone then lid": ([PHONE, LID], PHONE),
    "lid, phone, lid": ([LID, PHONE, LID], PHONE),
}


@pytest.mark.parametrize("order", REPLY_ORDERS)
@pytest.mark.parametrize("first", NAMES, ids=["created as phone", "created as lid"])
async def test_reply_address_is_the_phone(driver: ScriptDriver, order: str, first: Conversation):
    """Once the phone is known replies go there, and a LID does not replace it."""
    await driver.store.append([linked("m0", first, NAMES[1 - NAMES.index(first)])])
    names, expected = REPLY_ORDERS[order]
    for n, who in enumerate(names):
        await driver.append(f"n{n}", to=who)
    [batch] = await deliver(driver)
    assert batch.conversation == expected


@pytest.mark.parametrize("telling", [linked("m3", LID, PHONE), linked("m1")], ids=["by the lid", "by a duplicate"])
@pytest.mark.parametrize("first", NAMES, ids=["phone first", "lid first"])
async def test_phone_survives_the_merge(driver: ScriptDriver, first: Conversation, telling: Append):
    """Whichever conversation stays, it has the phone and the name that either one had."""
    await driver.append("m1", to=first, name="Ana" if first is PHONE else None)
    await driver.append("m2", to=NAMES[1 - NAMES.index(first)], name=None if first is PHONE else "Ana")
    await driver.store.append([telling])
    [batch] = await deliver(driver)
    assert (batch.conversation, batch.name) == (PHONE, "Ana")


async def test_newest_spelling_of_the_phone(driver: ScriptDriver):
    """Of two spellings of the phone the newest is the reply address."""
    old = PHONE._replace(peer="551191111222")
    new = PHONE._replace(peer="5511991111222")
    await driver.append("m1", to=old)
    await driver.append("m2", to=new)
    [batch] = await deliver(driver, old)
    assert (ids(batch), batch.conversation) == (["m1", "m2"], new)


async def test_pause_by_the_lid_keeps_the_phone(driver: ScriptDriver):
    """A pause by the LID does not change the reply address."""
    await link(driver, "m1")
    await driver.store.pause(LID, 20_000)
    [batch] = await deliver(driver)
    assert batch.conversation == PHONE


async def test_sealed_batch_keeps_its_name_and_address(driver: ScriptDriver):
    """A phone or name in a newer message does not change the sealed batch: a redelivery is the same."""
    await driver.store.append([message("m1", LID, name="Ana")])
    driver.clock.advance(WINDOW_MS)
    first = await driver.claim_batch(LID)
    await driver.store.append([linked("m2", name="Ana Maria")])
    driver.clock.advance(LEASE_MS)
    again = await driver.claim_batch(LID, caller="w2")
    assert contents(again) == contents(first)
    assert (again.conversation, again.name) == (LID, "Ana")
    await driver.store.ack(driver.ref(LID), again.token)
    [behind] = await deliver(driver)
    assert (behind.conversation, behind.name) == (PHONE, "Ana Maria")
