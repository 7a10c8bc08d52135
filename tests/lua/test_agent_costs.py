"""What the kinds of agents cost the server: nothing for `generic`, four short commands for a memory."""

from __future__ import annotations

from collections import Counter

import pytest

from buffer.held_agents import HeldAgents
from tests.lua.driver import WINDOW_MS, ScriptDriver
from tests.lua.test_held_agents import DOWN, PEOPLE

AGENT_KEYS = (":memory:", ":parked:", "}:agents")
MEMORY_COSTS = {"GET": 1, "HGET": 1, "SET": 1, "HSET": 1}
LAST = "ECHO"


async def commands_of(driver: ScriptDriver, said: str, memory: bytes) -> list[list[str]]:
    """The commands of one flush with an answer, those inside the scripts too."""
    await driver.append(said)
    driver.clock.advance(WINDOW_MS)
    seen: list[list[str]] = []
    async with driver.redis.monitor() as monitor:
        batch = await driver.claim_batch()
        await driver.store.answered(driver.ref(), batch.token, b"{}", memory=memory)
        await driver.store.ack(driver.ref(), batch.token)
        await driver.redis.echo("over")
        async for heard in monitor.listen():
            words = heard["command"].split()
            if words[0].upper() == LAST:
                return seen
            seen.append(words)
    return seen


@pytest.mark.parametrize("is_held", [False, True], ids=["", "another-agent-is-held"])
async def test_a_generic_flush_touches_no_key_of_agents(driver: ScriptDriver, is_held: bool):
    """No command of it names a key of memories or of agents that fail."""
    if is_held:
        for number in range(PEOPLE):
            await HeldAgents(driver.store).strike(DOWN._replace(person=f"p{number}"))
    seen = await commands_of(driver, "m1", b"")
    assert len(seen) > 20
    assert not [words for words in seen if any(kind in word for word in words for kind in AGENT_KEYS)]


async def test_what_a_memory_costs(driver: ScriptDriver):
    """Four commands a flush, in the scripts that run anyway."""
    counts: list[Counter[str]] = []
    for said, memory in (("m1", b""), ("m2", b""), ("m3", b"kept"), ("m4", b"kept")):
        seen = await commands_of(driver, said, memory)
        counts.append(Counter(words[0].upper() for words in seen))
    assert counts[3] - counts[1] == Counter(MEMORY_COSTS)
    assert counts[1] - counts[3] == Counter()
