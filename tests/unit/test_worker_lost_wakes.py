"""A lost wake entry is put back when its timer expires, and by repairs that go on while they find any."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buffer.keys import Ref
from buffer.models import Conversation
from buffer.store import Store
from tests.conftest import Clock
from tests.messages import message
from tests.servers import Server
from worker import expired_timers, upkeep
from worker.expired_timers import ExpiredTimers
from worker.upkeep import Upkeep

ANA, BIA, CRIS = (Conversation("generic", "loja", peer) for peer in ("ana", "bia", "cris"))
WITHIN_S = 20.0


@pytest.fixture
def store(valkey: Server, open_store: Any) -> Store:
    return open_store(valkey)


def wake_of(store: Store, ref: Ref) -> Any:
    """The wake entry of a conversation."""
    return store.client.zscore(store.keys.of(ref.partition, "wake"), ref.hash)


async def lose_wake(store: Store, ref: Ref) -> None:
    """Take the entry out of the index."""
    await store.client.zrem(store.keys.of(ref.partition, "wake"), ref.hash)


async def test_an_expired_timer_puts_its_wake_entry_back(store: Store, clock: Clock):
    """Only that of the conversation that holds something and has none."""
    woken = asyncio.Event()
    timers = ExpiredTimers(store, store.settings, woken.set)
    await store.append([message("m", ANA), message("m", BIA)])
    ana, bia, cris = map(store.ref, (ANA, BIA, CRIS))
    clock.advance(store.settings.window_ms)
    await lose_wake(store, ana)
    before = await wake_of(store, bia)
    for ref in (ana, bia, cris):
        timers.expired(ref)
    await asyncio.wait_for(woken.wait(), WITHIN_S)
    assert await wake_of(store, ana) == clock()
    assert await wake_of(store, bia) == before
    assert await wake_of(store, cris) is None
    assert [item.ref for item in (await store.dispatch(0, 10)).due] == [bia, ana]


async def test_what_was_just_dispatched_is_not_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch):
    """The event of a flush that is on its way costs no call; after REMEMBER_S it costs one."""
    looked: list[list[str]] = []
    asked = asyncio.Event()

    async def restore(partition: int, hashes: list[str]) -> int:
        looked.append(hashes)
        asked.set()
        return 0

    monkeypatch.setattr(expired_timers, "CHECK_DELAY_S", 0.0)
    monkeypatch.setattr(store, "restore", restore)
    timers = ExpiredTimers(store, store.settings, lambda: None)
    ana, bia = map(store.ref, (ANA, BIA))
    timers.dispatched([ana])
    timers.expired(ana)
    timers.expired(bia)
    await asyncio.wait_for(asked.wait(), WITHIN_S)
    assert looked == [[bia.hash]]
    asked.clear()
    timers._began_at -= expired_timers.REMEMBER_S + 1
    timers.expired(ana)
    await asyncio.wait_for(asked.wait(), WITHIN_S)
    assert looked[1:] == [[ana.hash]]


async def test_the_repair_goes_on_while_it_finds_something(store: Store, monkeypatch: pytest.MonkeyPatch, clock: Clock):
    """Entries that get lost after the first repair are found by the next rounds; then it is an hour's rest."""
    monkeypatch.setattr(upkeep, "EVERY_S", 0.01)
    found = [(1, 0), (0, 1), (0, 0), (5, 0)]
    guards: list[tuple[str, int]] = []
    done = asyncio.Event()

    async def repair(partition: int, rests: float) -> tuple[int, int]:
        return found[len(guards) - 1]

    async def take_guard(name: str, value: str, nx: bool, ex: int) -> bool:
        if len(guards) == 4:
            done.set()
            return False
        guards.append((name.rpartition(":")[2], ex))
        return True

    monkeypatch.setattr(store, "repair", repair)
    monkeypatch.setattr(store.client, "set", take_guard)
    task = asyncio.create_task(Upkeep(store, store.settings).run())
    await asyncio.wait_for(done.wait(), WITHIN_S)
    task.cancel()
    again, hourly = ("soon", upkeep.REPAIR_AGAIN_S), ("hourly", upkeep.REPAIR_EVERY_S)
    assert guards == [again, again, again, hourly]


async def test_a_repair_that_another_worker_has_just_done(store: Store, monkeypatch: pytest.MonkeyPatch):
    """It is left out, and what was found before is not forgotten by that."""
    mine = Upkeep(store, store.settings)
    await store.append([message("m", ANA)])
    await lose_wake(store, store.ref(ANA))
    assert await mine._repair(upkeep.REPAIR_AGAIN_S, found_before=False) is True
    assert await mine._repair(upkeep.REPAIR_AGAIN_S, found_before=True) is True
    assert await mine._repair(upkeep.REPAIR_AGAIN_S, found_before=False) is False
