"""look: what people see of a conversation."""

from __future__ import annotations

import pytest

from buffer.insight_models import ConversationView
from buffer.models import Change, PauseMode
from buffer.person_store import People
from tests.lua.aliases import LID, PHONE, link, linked
from tests.lua.driver import ANA, LEASE_MS, MAX_WAIT_MS, WINDOW_MS, ScriptDriver
from tests.messages import message


@pytest.fixture
def people(driver: ScriptDriver) -> People:
    """Return the operations on one person."""
    return People(driver.store)


async def view(people: People, driver: ScriptDriver, limit: int = 100) -> ConversationView:
    """Return what is seen of Ana."""
    found = await people.look(driver.ref(), limit)
    assert found is not None
    return found


async def test_unknown_conversation(driver: ScriptDriver, people: People):
    """Nobody is found under a ref that nobody has, and a look leaves no key."""
    assert await people.look(driver.ref()) is None
    assert await driver.all_keys() == []


async def test_open_burst(driver: ScriptDriver, people: People):
    """The burst has its messages, its deadline and the end of the longest wait."""
    now_ms = driver.clock.now_ms
    await driver.append("m1", "m2", text="quero pão", name="Ana")
    found = await view(people, driver)
    assert (found.ref, found.conversation, found.name, found.state) == (str(driver.ref()), ANA, "Ana", "open")
    assert (found.opened_ms, found.deadline_ms, found.cap_ms) == (now_ms, now_ms + WINDOW_MS, now_ms + MAX_WAIT_MS)
    assert [(one.kind, one.text, one.received_ms) for one in found.burst] == [("text", "quero pão", now_ms)] * 2
    assert (found.burst_messages, found.batch_messages, found.batch) == (2, 0, [])


async def test_edited_message(driver: ScriptDriver, people: People):
    """An edited message is shown as it is now."""
    sent = message("m1", ANA)
    await driver.store.append([sent])
    await driver.store.edit(ANA, Change(sent.fingerprint, 1, b'{"text":"oi, quero pao"}'))
    assert [one.text for one in (await view(people, driver)).burst] == ["oi, quero pao"]


async def test_media(driver: ScriptDriver, people: People):
    """Inline media is only said to be there."""
    payload = b'{"message_id":"m1","kind":"image","media":{"mimetype":"image/png"}}'
    await driver.store.append([message("m1", ANA, payload=payload)._replace(media=b"aGk=")])
    [found] = (await view(people, driver)).burst
    assert (found.kind, found.text, found.has_media) == ("image", None, True)


async def test_batch_in_flight(driver: ScriptDriver, people: People):
    """Batch and burst behind it are told apart, and the lease has an end."""
    batch = await driver.in_flight("m1")
    await driver.append("m2", "m3")
    found = await view(people, driver)
    assert (found.state, found.due_ms) == ("in_flight", driver.clock.now_ms + LEASE_MS)
    assert (found.flush_id, found.reason, found.attempts) == (batch.flush_id, "quiet", 1)
    assert found.closed_ms == batch.closed_ms
    assert (found.batch_messages, found.burst_messages) == (1, 2)


async def test_limit(driver: ScriptDriver, people: People):
    """A long burst is counted whole and shown in part."""
    await driver.append(*(f"m{i}" for i in range(5)))
    found = await view(people, driver, 2)
    assert (found.burst_messages, len(found.burst)) == (5, 2)


async def test_pause(driver: ScriptDriver, people: People):
    """A pause has an end and a mode."""
    until_ms = await driver.store.pause(ANA, 60_000, PauseMode.TAKEOVER)
    found = await view(people, driver)
    assert (found.state, found.paused_until_ms, found.pause_mode) == ("paused", until_ms, "takeover")


async def test_idle(driver: ScriptDriver, people: People):
    """A conversation that holds nothing is idle and waits for nothing."""
    batch = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), batch.token)
    found = await view(people, driver)
    assert (found.state, found.due_ms, found.burst, found.batch) == ("idle", None, [], [])


async def test_alias(driver: ScriptDriver, people: People):
    """Every name of a person leads to the same conversation."""
    await driver.store.append([linked("m1")])
    looks = [await people.look(driver.ref(name)) for name in (PHONE, LID)]
    assert looks[0] is not None
    assert looks[0] == looks[1]


async def test_batch_left_under_an_alias(driver: ScriptDriver, people: People):
    """A batch that was in flight under a name that became an alias is found under it."""
    batches = {name: await driver.in_flight(f"m-{name.peer}", to=name) for name in (PHONE, LID)}
    await link(driver, "m2")
    for name, batch in batches.items():
        found = await people.look(driver.ref(name))
        assert found is not None
        assert (found.flush_id, found.batch_messages) == (batch.flush_id, 1)


async def test_damaged_conversation(driver: ScriptDriver, people: People):
    """A conversation whose key cannot be read is broken, and what else is there is counted."""
    await driver.append("m1")
    await driver.redis.set(driver.key("conv"), "damage")
    found = await view(people, driver)
    assert (found.state, found.ref, found.burst_messages) == ("broken", str(driver.ref()), 1)
    await driver.redis.delete(driver.key("conv"))
