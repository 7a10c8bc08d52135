"""Agents that fail for everyone: when their calls are held, who may probe, and what becomes of what waits."""

from __future__ import annotations

import pytest

from buffer.held_agent_calls import AgentVerdict, Strike
from buffer.held_agents import UNPARK_AT_ONCE, HeldAgents
from buffer.models import Batch, Conversation, Failure
from buffer.person_store import People
from tests.lua.driver import ANA, BIA, WINDOW_MS, ScriptDriver

PEOPLE = 3
FIRST_MS, LONGEST_MS = 5_000, 30_000
PARK_MS = 300_000
DOWN = Strike("tag", "ana", PEOPLE, FIRST_MS, 600_000, "http://agent", "connection refused")


@pytest.fixture
def agents(driver: ScriptDriver) -> HeldAgents:
    return HeldAgents(driver.store)


async def open_it(agents: HeldAgents) -> None:
    """Let so many people meet the failure that calls are held."""
    for number in range(PEOPLE):
        await agents.strike(DOWN._replace(person=f"p{number}"))


async def park(driver: ScriptDriver, batch: Batch, to: Conversation = ANA, give_up_ms: int = 0) -> str:
    """Give a batch back because its agent is held."""
    failure = Failure("held", PARK_MS, "held", give_up_ms, agent="tag")
    return await driver.store.end_attempt(driver.ref(to), batch.token, failure)


async def parked(driver: ScriptDriver) -> int:
    return int(await driver.redis.zcard(driver.store.keys.of(0, "parked", "tag")))


async def test_several_people_in_a_row(driver: ScriptDriver, agents: HeldAgents):
    """One person's failures hold nothing, however many; the call that opens it is told so, and only that one."""
    assert [await agents.strike(DOWN) for _ in range(9)] == [AgentVerdict("works")] * 9
    assert (await agents.strike(DOWN._replace(person="bia"))).status == "works"
    assert await agents.strike(DOWN._replace(person="eva")) == AgentVerdict("opened", FIRST_MS)
    assert (await agents.strike(DOWN._replace(person="leo"))).status == "held"
    [held] = (await agents.now()).held
    assert held[:5] == ("tag", "http://agent", driver.clock(), driver.clock() + FIRST_MS, "connection refused")


async def test_an_answer_ends_the_row(driver: ScriptDriver, agents: HeldAgents):
    """Strikes before an answer do not count, nor those of long ago."""
    await agents.strike(DOWN)
    await agents.strike(DOWN._replace(person="bia"))
    assert await agents.works("tag") == 0
    assert (await agents.strike(DOWN._replace(person="eva"))).status == "works"
    await agents.strike(DOWN._replace(person="leo"))
    driver.clock.advance(600_000)
    assert (await agents.strike(DOWN._replace(person="rui"))).status == "works"


async def test_one_probe_an_interval(driver: ScriptDriver, agents: HeldAgents):
    """Whoever asks first after the interval may call; the interval doubles, up to the longest."""
    assert (await agents.probe("tag", FIRST_MS, LONGEST_MS)).status == "works"
    await open_it(agents)
    assert await agents.probe("tag", FIRST_MS, LONGEST_MS) == AgentVerdict("held", FIRST_MS)
    waits_ms = [FIRST_MS]
    for _ in range(4):
        driver.clock.advance(waits_ms[-1])
        found = await agents.probe("tag", FIRST_MS, LONGEST_MS)
        assert found.status == "probe"
        assert await agents.probe("tag", FIRST_MS, LONGEST_MS) == AgentVerdict("held", found.probe_in_ms)
        waits_ms.append(found.probe_in_ms)
    assert waits_ms == [5_000, 10_000, 20_000, 30_000, 30_000]


async def test_only_one_caller_ends_it(driver: ScriptDriver, agents: HeldAgents):
    """The first that tells of an answer hears for how long calls were held, so that it is logged once."""
    await open_it(agents)
    driver.clock.advance(700)
    assert [await agents.works("tag") for _ in range(2)] == [700, 0]
    assert (await agents.now()).held == []


async def test_a_batch_that_waits_keeps_its_attempts(driver: ScriptDriver, agents: HeldAgents):
    """It is no failure, keeps a wake entry of its own, and comes back as it was when the agent works again."""
    batch = await driver.in_flight("m1")
    assert await park(driver, batch) == "ok"
    assert await driver.wake_ms() == driver.clock() + PARK_MS
    assert (await driver.counters())["agent_failures"] == 0
    assert (await driver.claim()).status == "busy"
    assert await agents.wake_all("tag") == 1
    assert await parked(driver) == 0
    again = await driver.claim_batch(caller="w2")
    assert (again.flush_id, again.messages, again.failures, again.crashes) == (batch.flush_id, batch.messages, 0, 0)
    await driver.check_layout()


async def test_without_being_woken_it_comes_back_later(driver: ScriptDriver):
    """Nobody told that the agent works: the wake index brings it back all the same."""
    batch = await driver.in_flight("m1")
    await park(driver, batch)
    driver.clock.advance(PARK_MS)
    assert await driver.dispatch() == [driver.ref()]
    assert (await driver.claim_batch(caller="w2")).flush_id == batch.flush_id


async def test_the_oldest_first(driver: ScriptDriver, agents: HeldAgents):
    """The order is that in which the bursts were closed, whatever the order of parking; new bursts come after them."""
    people = [Conversation("generic", "loja", f"p{number}") for number in range(UNPARK_AT_ONCE + 5)]
    for who in people:
        await driver.append("m1", to=who)
        driver.clock.advance(1)
    driver.clock.advance(WINDOW_MS)
    batches = {who: await driver.claim_batch(to=who) for who in people}
    for who in reversed(people):
        await park(driver, batches[who], who)
    await driver.append("m1", to=BIA)
    driver.clock.advance(WINDOW_MS)
    await agents.wake_one("tag")
    assert await driver.dispatch() == [driver.ref(people[0]), driver.ref(BIA)]
    assert await agents.wake_all("tag") == len(people) - 1
    assert await driver.dispatch() == [driver.ref(who) for who in people[1:]]


async def test_given_up(driver: ScriptDriver):
    """A batch that waits for longer than AGENT_GIVE_UP is a dead letter, and waits no more."""
    batch = await driver.in_flight("m1")
    assert await park(driver, batch, give_up_ms=PARK_MS) == "ok"
    driver.clock.advance(PARK_MS)
    assert await park(driver, await driver.claim_batch(caller="w2"), give_up_ms=PARK_MS) == "dead"
    assert await parked(driver) == 0


@pytest.mark.parametrize("how", ["discard", "erase", "in flight"])
async def test_what_no_longer_waits_is_not_woken(driver: ScriptDriver, agents: HeldAgents, how: str):
    """A batch that is gone leaves no trace among those that wait; one that is in flight keeps its lease."""
    await park(driver, await driver.in_flight("m1"))
    if how == "discard":
        await driver.store.discard(ANA)
    elif how == "erase":
        await People(driver.store).erase(ANA)
    else:
        driver.clock.advance(PARK_MS)
        await driver.claim_batch(caller="w2")
    assert await parked(driver) == (how == "in flight")
    wake_ms = await driver.wake_ms()
    await agents.wake_all("tag")
    assert await driver.wake_ms() == wake_ms


async def test_keys_of_another_type(driver: ScriptDriver, agents: HeldAgents):
    """They are set aside, and hold up nobody."""
    await driver.redis.set(driver.partition_key("agents"), "x")
    await driver.redis.set(driver.store.keys.of(0, "parked", "tag"), "x")
    await open_it(agents)
    assert len((await agents.now()).held) == 1
    assert await park(driver, await driver.in_flight("m1")) == "ok"
    assert await agents.wake_all("tag") in (0, 1)
    await driver.redis.hset(driver.partition_key("agents"), "tag", "{no json")
    assert (await agents.probe("tag", FIRST_MS, LONGEST_MS)).status == "works"
    assert (await agents.now()).held == []
