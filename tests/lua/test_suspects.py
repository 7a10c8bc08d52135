"""A batch that kills its worker takes the calls beside it along, and is the only one that ends as a dead letter."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from buffer.models import Batch, Conversation
from buffer.script_calls import MAX_CRASHES
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids

CROWD = [Conversation("generic", "loja", f"person-{number:03d}") for number in range(21)]
KILLER = CROWD[13]
ROUNDS_MAX = 3000


class Node:
    """A worker that claims all it gets, and is started again whenever a batch kills it."""

    def __init__(self, driver: ScriptDriver, killers: Collection[Conversation]) -> None:
        self.driver = driver
        self.killers = killers
        self.rounds = 0
        self.crashes: dict[Conversation, int] = {}
        self.delivered: dict[Conversation, list[str]] = {}

    async def work(self, people: Collection[Conversation]) -> None:
        """Claim the conversations at once. Ack what was claimed, or die with all of it."""
        self.rounds += 1
        claims = await asyncio.gather(*(self.driver.claim(who, f"w{self.rounds}") for who in people))
        held = {who: claim.batch for who, claim in zip(people, claims, strict=True) if claim.batch}
        if not set(self.killers).isdisjoint(held):
            for who in held:
                self.crashes[who] = self.crashes.get(who, 0) + 1
            self.driver.clock.advance(LEASE_MS)
            return
        for who, batch in held.items():
            assert await self.driver.store.ack(self.driver.ref(who), batch.token) == "ok"
            self.delivered.setdefault(who, []).extend(ids(batch))
        self.driver.clock.advance(1_000)

    async def work_until_quiet(self, people: Collection[Conversation]) -> None:
        """Work until the wake index is empty."""
        while await self.driver.redis.zcard(self.driver.partition_key("wake")):
            assert self.rounds < ROUNDS_MAX
            await self.work(people)


async def dead(driver: ScriptDriver) -> list[str]:
    """Return the hashes of the conversations that have a dead letter."""
    flush_ids = await driver.redis.zrange(driver.partition_key("dead"), 0, -1)
    return [flush_id.decode().removeprefix("0-")[:16] for flush_id in flush_ids]


@pytest.mark.parametrize("killers", [[KILLER], CROWD[3:7]], ids=["one", "four"])
async def test_only_the_killer_becomes_a_dead_letter(driver: ScriptDriver, killers: list[Conversation]):
    """Of 21 batches at one worker those that kill it are dead letters after 20 crashes; the others are delivered."""
    for who in CROWD:
        await driver.append(f"m-{who.peer}", to=who)
    driver.clock.advance(WINDOW_MS)
    node = Node(driver, killers)
    await node.work_until_quiet(CROWD)
    assert sorted(await dead(driver)) == sorted(driver.ref(who).hash for who in killers)
    assert node.delivered == {who: [f"m-{who.peer}"] for who in CROWD if who not in killers}
    assert {node.crashes[who] for who in killers} == {MAX_CRASHES}
    assert max(node.crashes.get(who, 0) for who in node.delivered) <= 7


async def test_new_messages_beside_the_killer(driver: ScriptDriver):
    """People who keep writing while a worker is killed again and again lose nothing, and none is a dead letter."""
    node, said = Node(driver, [KILLER]), 0
    await driver.append("killer", to=KILLER)
    driver.clock.advance(WINDOW_MS)
    while not await dead(driver):
        said += 1
        await asyncio.gather(*(driver.append(f"m{said}", to=who) for who in CROWD if who != KILLER))
        await node.work(CROWD)
        assert node.rounds < ROUNDS_MAX
    await node.work_until_quiet(CROWD)
    assert await dead(driver) == [driver.ref(KILLER).hash]
    assert set(map(tuple, node.delivered.values())) == {tuple(f"m{number}" for number in range(1, said + 1))}


async def crash(driver: ScriptDriver, times: int, to: Conversation = ANA) -> Batch:
    """Let workers die with the batch of a conversation. Return it as it was claimed last."""
    batch = None
    while batch is None or batch.crashes < times:
        driver.clock.advance(LEASE_MS)
        batch = (await driver.claim(to, f"w{driver.clock()}")).batch or batch
    return batch


async def test_second_crash_makes_a_suspect(driver: ScriptDriver):
    """The worker is told when a batch is a suspect."""
    await driver.in_flight("m1")
    batch = await crash(driver, 1)
    assert not batch.is_suspect
    assert (await crash(driver, 2)).is_suspect


async def test_rest_after_a_crash_alone_grows(driver: ScriptDriver):
    """A batch that was the only suspect when its worker died rests longer each time, for at most eight leases."""
    await driver.in_flight("m1")
    await crash(driver, 6)
    rests = []
    for _ in range(12):
        driver.clock.advance(LEASE_MS)
        claim = await driver.claim(caller=f"r{driver.clock()}")
        assert claim.until_ms is not None
        rests.append((claim.until_ms - driver.clock()) // LEASE_MS)
        driver.clock.now_ms = claim.until_ms
        assert (await driver.claim(caller=f"w{driver.clock()}")).batch
    assert rests == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]


@pytest.mark.parametrize("end", ["ack", "retry", "release", "dead", "discard"])
async def test_end_of_a_suspect_makes_room(driver: ScriptDriver, end: str):
    """While a suspect runs alone, another waits; it goes as soon as the first is let go in whatever way."""
    alone, other = CROWD[0], CROWD[1]
    await driver.in_flight("m1", to=alone)
    await driver.in_flight("m2", to=other)
    await crash(driver, 2, other)
    batch = await crash(driver, 6, alone)
    driver.clock.advance(LEASE_MS - 1)
    assert await driver.store.renew(driver.ref(alone), batch.token) == "ok"
    driver.clock.advance(1)
    assert (await driver.claim(other, "o1")).status == "busy"
    driver.clock.advance(LEASE_MS - 2)
    assert (await driver.claim(other, "o2")).status == "busy", "a renewed lease keeps its place"
    if end == "ack":
        assert await driver.store.ack(driver.ref(alone), batch.token) == "ok"
    elif end == "discard":
        await driver.store.discard(alone)
        assert await driver.fail(batch.token, "release", to=alone) == "cancelled"
    else:
        assert await driver.fail(batch.token, end, delay_ms=60_000, to=alone) in ("ok", "dead")
    driver.clock.advance(1_000)
    assert (await driver.claim(other, "o3")).status == "batch"
