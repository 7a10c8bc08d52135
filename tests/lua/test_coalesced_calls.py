"""Many conversations in one call of claim, renew, answered and ack give the same results as many calls."""

from __future__ import annotations

import asyncio

import pytest

from buffer.models import Conversation, Outcome
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids
from tests.messages import message

PEOPLE = [Conversation("generic", "loja", f"person-{number:03d}") for number in range(120)]
CALLERS = {who: f"w{number}" for number, who in enumerate(PEOPLE)}


async def script_calls(driver: ScriptDriver) -> int:
    """Return how often the server has run a script."""
    stats = await driver.redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])


async def dispatch(driver: ScriptDriver) -> None:
    """Append a message for everyone and let the window pass."""
    for who in PEOPLE:
        await driver.append(f"m-{who.peer}", to=who)
    driver.clock.advance(WINDOW_MS)


async def take_all(driver: ScriptDriver) -> dict[Conversation, str]:
    """Claim all conversations at once. Return the tokens."""
    claims = await asyncio.gather(*(driver.claim(who, CALLERS[who]) for who in PEOPLE))
    for who, claim in zip(PEOPLE, claims, strict=True):
        assert ids(claim.batch) == [f"m-{who.peer}"]
    return {who: claim.batch.token for who, claim in zip(PEOPLE, claims, strict=True) if claim.batch}


async def test_each_gets_its_own_reply(driver: ScriptDriver):
    """A flush of 120 people in coalesced calls keeps batches, tokens and outcomes apart."""
    await dispatch(driver)
    tokens = await take_all(driver)
    assert {token.partition(":")[2] for token in tokens.values()} == set(CALLERS.values())
    stolen = {**tokens, PEOPLE[7]: "1:somebody", PEOPLE[60]: tokens[PEOPLE[61]]}
    for verb, args in (("renew", ()), ("answered", (b"{}",)), ("ack", ())):
        operation = getattr(driver.store, verb)
        outcomes = await asyncio.gather(*(operation(driver.ref(who), stolen[who], *args) for who in PEOPLE))
        lost = [who for who, outcome in zip(PEOPLE, outcomes, strict=True) if outcome is Outcome.LOST]
        assert lost == [PEOPLE[7], PEOPLE[60]]
    assert (await driver.counters())["acked"] == len(PEOPLE) - 2
    assert [await driver.is_idle(who) for who in (PEOPLE[7], PEOPLE[8])] == [False, True]


async def test_they_share_calls(driver: ScriptDriver):
    """120 claims of one loop iteration take a handful of calls."""
    await dispatch(driver)
    await driver.store.load_scripts()
    before = await script_calls(driver)
    await take_all(driver)
    assert await script_calls(driver) - before < 20


@pytest.mark.parametrize("place", [0, 31, 119])
async def test_one_that_fails_does_not_fail_its_neighbours(driver: ScriptDriver, place: int):
    """A conversation with a broken key has nothing to deliver, and the others are claimed once, in any position."""
    await dispatch(driver)
    broken = PEOPLE[place]
    await driver.redis.set(driver.key("buffer", broken), "not a list")
    found = await asyncio.gather(*(driver.claim(who, CALLERS[who]) for who in PEOPLE))
    assert [who for who, claim in zip(PEOPLE, found, strict=True) if claim.status != "batch"] == [broken]
    assert [claim.batch.attempt for claim in found if claim.batch] == [1] * (len(PEOPLE) - 1)


async def test_the_same_conversation_twice_in_one_call(driver: ScriptDriver):
    """Two claims of one conversation in one call are like two calls: the second finds the lease of the first."""
    await driver.append("m1")
    driver.clock.advance(WINDOW_MS)
    first, second = await asyncio.gather(driver.claim(ANA, "w1"), driver.claim(ANA, "w2"))
    assert ids(first.batch) == ["m1"]
    assert (second.status, second.until_ms) == ("busy", driver.clock() + LEASE_MS)


async def test_a_reply_has_its_limit(driver: ScriptDriver):
    """Batches with large inline media are returned a few at a time, each once, and none is left out."""
    media, few = b"x" * 1_000_000, PEOPLE[:15]
    for who in few:
        await driver.store.append([message(f"m-{who.peer}", who)._replace(media=media)])
    driver.clock.advance(WINDOW_MS)
    await driver.store.load_scripts()
    before = await script_calls(driver)
    claims = await asyncio.gather(*(driver.claim(who, CALLERS[who]) for who in few))
    assert [ids(claim.batch) for claim in claims] == [[f"m-{who.peer}"] for who in few]
    assert {claim.batch.messages[0].media for claim in claims if claim.batch} == {media}
    assert {claim.batch.attempt for claim in claims if claim.batch} == {1}
    assert await script_calls(driver) - before == 3
