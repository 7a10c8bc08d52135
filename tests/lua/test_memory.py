"""The memory of an agent: stored with the answer, given with the next batch, and forgotten with the conversation."""

from __future__ import annotations

from buffer.models import Batch, Conversation
from buffer.person_store import People
from tests.lua.aliases import LID, PHONE, home, link
from tests.lua.driver import ANA, BIA, LEASE_MS, ScriptDriver

DAY_MS = 86_400_000


async def answer(driver: ScriptDriver, batch: Batch, memory: bytes, to: Conversation = ANA) -> str:
    """Store an answer with a memory."""
    return await driver.store.answered(driver.ref(to), batch.token, b"{}", memory=memory)


async def turn(driver: ScriptDriver, said: str, memory: bytes, to: Conversation = ANA) -> Batch:
    """Have one burst answered and acked. Return its batch."""
    batch = await driver.in_flight(said, to=to)
    assert await answer(driver, batch, memory, to) == "ok"
    await driver.store.ack(driver.ref(to), batch.token)
    return batch


async def test_next_batch_gets_it(driver: ScriptDriver):
    """Each batch gets the memory of the last answer, as the bytes that were stored. Others get none."""
    assert [(await turn(driver, f"m{i}", b"\x00m%d" % i)).memory for i in range(3)] == [b"", b"\x00m0", b"\x00m1"]
    assert (await turn(driver, "m1", b"", to=BIA)).memory == b""
    await driver.check_layout()


async def test_answer_without_a_memory_leaves_it(driver: ScriptDriver):
    """An answer that says nothing about the memory leaves it."""
    await turn(driver, "m1", b"kept")
    await turn(driver, "m2", b"")
    assert (await driver.in_flight("m3")).memory == b"kept"


async def test_worker_without_the_lease_changes_nothing(driver: ScriptDriver):
    """A worker that has lost its lease writes no memory."""
    late = await driver.in_flight("m1")
    driver.clock.advance(LEASE_MS)
    again = await driver.claim_batch(caller="w2")
    assert await answer(driver, late, b"late") == "lost"
    assert await answer(driver, again, b"right") == "ok"
    await driver.store.ack(driver.ref(), again.token)
    assert (await driver.in_flight("m2")).memory == b"right"


async def test_it_follows_the_person(driver: ScriptDriver):
    """A person who writes from another id goes on with the same memory."""
    await turn(driver, "m1", b"known", to=LID)
    await link(driver, "m2", PHONE, LID)
    kept = await home(driver)
    batch = await driver.in_flight("m3", to=kept)
    assert batch.memory == b"known"


async def test_merge_keeps_the_only_memory(driver: ScriptDriver):
    """Of two conversations that become one, the memory of the only one that has any stays, and no key is left."""
    await turn(driver, "m0", b"", to=PHONE)
    await turn(driver, "m1", b"of the lid", to=LID)
    await link(driver, "m2", PHONE, LID)
    kept = await home(driver)
    assert (await driver.in_flight("m3", to=kept)).memory == b"of the lid"
    gone = LID if kept == PHONE else PHONE
    assert await driver.redis.exists(driver.key("memory", gone)) == 0


async def test_answer_of_a_batch_left_behind(driver: ScriptDriver):
    """A batch that is answered after its id became an alias writes the memory of the person."""
    await driver.in_flight("busy", to=PHONE)
    batch = await driver.in_flight("m1", to=LID)
    await link(driver, "m9", PHONE, LID)
    assert await home(driver) == PHONE
    assert await answer(driver, batch, b"late", to=LID) == "ok"
    assert await driver.redis.get(driver.key("memory", PHONE)) == b"late"
    assert await driver.redis.exists(driver.key("memory", LID)) == 0


async def test_forgotten_with_the_conversation(driver: ScriptDriver):
    """Neither sweep nor erase leaves a memory."""
    await turn(driver, "m1", b"one")
    driver.clock.advance(7 * DAY_MS)
    assert await driver.store.sweep(0) == 1
    assert await driver.redis.exists(driver.key("memory")) == 0
    await turn(driver, "m2", b"two")
    await People(driver.store).erase(ANA)
    assert await driver.redis.exists(driver.key("memory")) == 0
    assert (await driver.in_flight("m3")).memory == b""
