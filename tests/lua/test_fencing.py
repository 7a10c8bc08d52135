"""Every write after the claim is fenced by the lease token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from buffer.models import Outcome
from tests.lua.driver import ANA, LEASE_MS, Desk

Verb = Callable[[Desk, str], Awaitable[Outcome]]

FENCED: dict[str, Verb] = {
    "renew": lambda desk, token: desk.store.renew(desk.ref(), token),
    "answered": lambda desk, token: desk.store.answered(desk.ref(), token, b"{}"),
    "ack": lambda desk, token: desk.store.ack(desk.ref(), token),
    "retry": lambda desk, token: desk.fail(token, "retry"),
    "dead": lambda desk, token: desk.fail(token, "dead"),
    "release": lambda desk, token: desk.fail(token, "release"),
}


@pytest.fixture(params=FENCED)
def verb(request: pytest.FixtureRequest) -> Verb:
    """Each fenced write in turn."""
    return FENCED[request.param]


async def everything(desk: Desk) -> dict[str, bytes]:
    return {key: await desk.redis.dump(key) for key in await desk.all_keys()}


async def test_stale_token_changes_nothing(desk: Desk, verb: Verb):
    """A worker whose lease went to another one changes not one byte."""
    stale = await desk.in_flight("m1")
    await desk.say("m2")
    desk.clock.advance(LEASE_MS)
    await desk.take(caller="w2")
    before = await everything(desk)
    assert await verb(desk, stale.token) == "lost"
    assert await everything(desk) == before


@pytest.mark.parametrize("token", ["", "1:", ":w1", "1:w2", "2:w1", "nonsense"])
async def test_token_must_be_the_very_one(desk: Desk, verb: Verb, token: str):
    """Neither the fence nor the caller's id alone is enough, and nothing is no token."""
    await desk.in_flight("m1")
    before = await everything(desk)
    assert await verb(desk, token) == "lost"
    assert await everything(desk) == before


async def test_empty_token_after_a_hand_back(desk: Desk, verb: Verb):
    """A batch that waits for its next attempt is nobody's: the empty token opens nothing."""
    batch = await desk.in_flight("m1")
    await desk.fail(batch.token, "retry", delay_ms=5_000)
    before = await everything(desk)
    assert await verb(desk, "") == "lost"
    assert await everything(desk) == before


async def test_unknown_conversation(desk: Desk, verb: Verb):
    """A token for a conversation that does not exist is lost, and leaves no trace."""
    assert await verb(desk, "1:w1") == "lost"
    assert await desk.all_keys() == []


async def test_token_of_a_batch_taken_over_by_a_human(desk: Desk, verb: Verb):
    """A lease that had ended when a human took over is gone with its batch."""
    batch = await desk.in_flight("m1")
    desk.clock.advance(LEASE_MS)
    await desk.store.discard(ANA)
    before = await everything(desk)
    assert await verb(desk, batch.token) == "lost"
    assert await everything(desk) == before
