"""The lease token fences every write after the claim."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from buffer.models import Outcome
from tests.lua.driver import ANA, LEASE_MS, ScriptDriver

Verb = Callable[[ScriptDriver, str], Awaitable[Outcome]]

FENCED: dict[str, Verb] = {
    "renew": lambda driver, token: driver.store.renew(driver.ref(), token),
    "answered": lambda driver, token: driver.store.answered(driver.ref(), token, b"{}"),
    "ack": lambda driver, token: driver.store.ack(driver.ref(), token),
    "retry": lambda driver, token: driver.fail(token, "retry"),
    "dead": lambda driver, token: driver.fail(token, "dead"),
    "release": lambda driver, token: driver.fail(token, "release"),
}


@pytest.fixture(params=FENCED)
def verb(request: pytest.FixtureRequest) -> Verb:
    """Return each fenced write in turn."""
    return FENCED[request.param]


async def everything(driver: ScriptDriver) -> dict[str, bytes]:
    return {key: await driver.redis.dump(key) for key in await driver.all_keys()}


async def test_stale_token_changes_nothing(driver: ScriptDriver, verb: Verb):
    """A worker whose conversation was claimed by another one changes not one byte."""
    stale = await driver.in_flight("m1")
    await driver.append("m2")
    driver.clock.advance(LEASE_MS)
    await driver.claim_batch(caller="w2")
    before = await everything(driver)
    assert await verb(driver, stale.token) == "lost"
    assert await everything(driver) == before


@pytest.mark.parametrize("token", ["", "1:", ":w1", "1:w2", "2:w1", "nonsense"])
async def test_token_must_be_the_very_one(driver: ScriptDriver, verb: Verb, token: str):
    """Neither the fence nor the caller's id alone is enough, and an empty string is no token."""
    await driver.in_flight("m1")
    before = await everything(driver)
    assert await verb(driver, token) == "lost"
    assert await everything(driver) == before


async def test_empty_token_after_a_hand_back(driver: ScriptDriver, verb: Verb):
    """A batch that waits for its next attempt has no token, and the empty token does not match."""
    batch = await driver.in_flight("m1")
    await driver.fail(batch.token, "retry", delay_ms=5_000)
    before = await everything(driver)
    assert await verb(driver, "") == "lost"
    assert await everything(driver) == before


async def test_unknown_conversation(driver: ScriptDriver, verb: Verb):
    """A token for a conversation that does not exist returns lost and leaves no trace."""
    assert await verb(driver, "1:w1") == "lost"
    assert await driver.all_keys() == []


async def test_token_of_a_discarded_batch(driver: ScriptDriver, verb: Verb):
    """A discard after the end of a lease removes the batch and its token."""
    batch = await driver.in_flight("m1")
    driver.clock.advance(LEASE_MS)
    await driver.store.discard(ANA)
    before = await everything(driver)
    assert await verb(driver, batch.token) == "lost"
    assert await everything(driver) == before
