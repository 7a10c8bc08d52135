"""Several operators act on one person at the same time, while messages come in and a worker delivers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from buffer.insights import Insights
from buffer.models import Conversation, PauseMode
from buffer.person_store import People
from buffer.store import Store
from tests.messages import message
from tests.servers import Server

pytestmark = pytest.mark.server

ANA = Conversation("evolution", "loja", "5511900000001")
TEXT = "quero cancelar o pedido de flores"
NAME = "Alba Quintanilha"
MESSAGES = 150
SEEDS = range(4)


class Crowd:
    """The writers, the operators and a worker of one conversation. `fates` has what became of the messages."""

    def __init__(self, open_store: Callable[[], Store], seed: int) -> None:
        self.stores = [open_store() for _ in range(4)]
        self.chance = random.Random(seed)
        self.fates: Counter[str] = Counter()
        self.delivered: list[str] = []
        self.is_over = False

    @property
    def store(self) -> Store:
        return self.stores[0]

    async def write(self) -> None:
        for number in range(MESSAGES):
            [appended] = await self.store.append([message(f"m{number}", ANA, text=TEXT, name=NAME)])
            self.fates[appended.status] += 1
            await asyncio.sleep(0)

    async def operate(self, store: Store, actions: tuple[str, ...]) -> None:
        while not self.is_over:
            await getattr(self, self.chance.choice(actions))(store)
            await asyncio.sleep(0.001)

    async def flush(self, store: Store) -> None:
        await store.flush_now(ANA)

    async def discard(self, store: Store) -> None:
        await store.discard(ANA)

    async def pause(self, store: Store) -> None:
        await store.pause(ANA, 60_000, PauseMode.HOLD)

    async def resume(self, store: Store) -> None:
        await store.resume(ANA)

    async def erase(self, store: Store) -> None:
        erased = await People(store).erase(ANA)
        self.fates["erased"] += erased.messages

    async def deliver(self) -> None:
        """Claim and ack, as a worker, or give the batch back."""
        store, number = self.stores[1], 0
        while not self.is_over:
            number += 1
            batch = (await store.claim(store.ref(ANA), f"w{number}")).batch
            await asyncio.sleep(0.001)
            if batch is not None and self.chance.random() < 0.3:
                await store.release(store.ref(ANA), batch.token)
            elif batch is not None and await store.ack(store.ref(ANA), batch.token) == "ok":
                self.delivered += [one.fields["message_id"] for one in batch.messages]

    async def act(self, actions: tuple[str, ...]) -> None:
        others = [asyncio.create_task(self.operate(store, actions)) for store in self.stores[2:]]
        others.append(asyncio.create_task(self.deliver()))
        await self.write()
        self.is_over = True
        await asyncio.gather(*others)

    async def drain(self) -> None:
        """Deliver all that is left."""
        store, ref = self.store, self.store.ref(ANA)
        await store.resume(ANA)
        for number in range(MESSAGES):
            await store.flush_now(ANA)
            claim = await store.claim(ref, f"last{number}")
            if claim.batch is not None and await store.ack(ref, claim.batch.token) == "ok":
                self.delivered += [one.fields["message_id"] for one in claim.batch.messages]
            elif claim.status == "empty":
                return


@pytest.fixture
def crowd(valkey: Server, open_store: Callable[..., Store]) -> Callable[[int], Crowd]:
    def make(seed: int) -> Crowd:
        return Crowd(
            lambda: on_time(open_store(valkey, message_buffer_timeout=600, message_buffer_max_wait=3600)), seed
        )

    return make


def on_time(store: Store) -> Store:
    """Let a store go by the server's own time."""
    store._clock = None
    return store


async def recorded(store: Store, outcome: str) -> int:
    """Return how many messages the history has with this outcome."""
    page = await Insights(store).flushes(1000)
    assert page.next_cursor is None
    return sum(record.messages for record in page.items if record.outcome == outcome)


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_message_has_one_fate(crowd: Callable[[int], Crowd], seed: int):
    """Under flushes, discards, pauses and resumes each message is delivered once or recorded as discarded."""
    one = crowd(seed)
    await one.act(("flush", "flush", "discard", "pause", "resume", "resume"))
    await one.drain()
    assert one.fates == {"new": MESSAGES}
    assert len(one.delivered) == len(set(one.delivered))
    assert len(one.delivered) + await recorded(one.store, "discarded") == MESSAGES
    assert (await Insights(one.store).gauges()).pending == 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_an_erase_among_them_leaves_nothing(crowd: Callable[[int], Crowd], seed: int):
    """Erases during a burst lose nothing that they do not count, and after the last one no key tells of the person."""
    one = crowd(seed)
    await one.act(("flush", "pause", "resume", "resume", "erase"))
    await one.erase(one.store)
    assert await traces(one.store) == []
    assert len(one.delivered) == len(set(one.delivered))
    assert len(one.delivered) + one.fates["erased"] == one.fates["new"] == MESSAGES
    assert (await Insights(one.store).gauges()).pending == 0


async def traces(store: Store) -> list[str]:
    """Return the keys of this test and of RQ that hold a number, a name, a text or a hash of the person."""
    words = [one.encode() for one in (ANA.peer, TEXT, NAME, store.ref(ANA).hash)]
    client: Any = store.client
    found = []
    async for key in client.scan_iter(count=1000):
        if key.startswith((f"{store.keys.prefix}:".encode(), b"rq:")):
            held = b"".join([key, *await whole(client, key)])
            found += [f"{word!r} in {key!r}" for word in words if word in held]
    return found


async def whole(client: Any, key: bytes) -> list[bytes]:
    kind = await client.type(key)
    if kind == b"hash":
        return [part for pair in (await client.hgetall(key)).items() for part in pair]
    if kind == b"stream":
        return [part for _, row in await client.xrange(key) for pair in row.items() for part in pair]
    reads = {b"list": client.lrange, b"zset": client.zrange}
    if kind in reads:
        return list(await reads[kind](key, 0, -1))
    return list(await client.smembers(key)) if kind == b"set" else [await client.get(key) or b""]
