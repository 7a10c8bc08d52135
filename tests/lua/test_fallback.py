"""FALLBACK_REPLY: what a person gets when their burst dies, as a batch that holds an answer alone."""

from __future__ import annotations

import pytest

from buffer.models import Batch, Conversation, Failure, PauseMode
from buffer.prints import print_of
from tests.lua.driver import ANA, BIA, WINDOW_MS, ScriptDriver, ids

ANSWER, PRINTS = b'{"parts":[]}', print_of("Estamos fora do ar.")
HOUR_MS = 3_600_000


async def die(driver: ScriptDriver, batch: Batch, to: Conversation = ANA, mode: str = "dead") -> str:
    """End a batch for good, with a fallback."""
    failure = Failure(mode, 1_000, "refused", max_attempts=1, fallback=ANSWER, fallback_prints=PRINTS)  # type: ignore[arg-type]
    return await driver.store.end_attempt(driver.ref(to), batch.token, failure)


@pytest.mark.parametrize("mode", ["dead", "retry"])
async def test_person_hears_of_it(driver: ScriptDriver, mode: str):
    """Before anything new the claim brings a batch with the answer, and no message: no agent is called for it."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    assert await die(driver, batch, mode=mode) == "dead"
    fallback = await driver.claim_batch(caller="w2")
    assert (fallback.flush_id, fallback.answer, fallback.messages) == (f"{batch.flush_id}.0", ANSWER, ())
    assert (fallback.next_part, fallback.last_part, fallback.conversation) == (1, 1, ANA)
    await driver.store.ack(driver.ref(), fallback.token)
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch(caller="w3")) == ["m2"]
    [letter] = (await driver.store.dead_letters(0)).page
    assert letter.flush_id == batch.flush_id
    await driver.check_layout()


async def test_once_an_hour(driver: ScriptDriver):
    """More bursts of the same person die in silence for an hour; those of another do not."""
    heard = []
    for number in range(4):
        batch = await driver.in_flight(f"m{number}")
        await die(driver, batch)
        claim = await driver.claim(caller=f"w{number}")
        heard.append(claim.batch is not None)
        if claim.batch:
            await driver.store.ack(driver.ref(), claim.batch.token)
        driver.clock.advance(HOUR_MS // 3)
    assert heard == [True, False, False, True]
    await die(driver, await driver.in_flight("m1", to=BIA), BIA)
    assert (await driver.claim_batch(to=BIA, caller="w9")).answer == ANSWER


async def test_no_fallback_without_a_death(driver: ScriptDriver):
    """A batch that is tried again, or cancelled, says nothing."""
    batch = await driver.in_flight("m1")
    failure = Failure("retry", 1_000, "refused", max_attempts=8, fallback=ANSWER, fallback_prints=PRINTS)
    assert await driver.store.end_attempt(driver.ref(), batch.token, failure) == "ok"
    driver.clock.advance(1_000)
    again = await driver.claim_batch(caller="w2")
    assert again.flush_id == batch.flush_id
    await driver.store.pause(ANA, 1_000, PauseMode.TAKEOVER)
    assert await die(driver, again) == "cancelled"
    assert (await driver.store.dead_letters(0)).total == 0
