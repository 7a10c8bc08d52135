"""The counts of `status`: right for all that waits, and read from a bounded number of conversations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from buffer.models import Conversation
from buffer.store import Store
from cli import overview
from cli.overview import overview_of
from tests.conftest import Clock
from tests.messages import message
from tests.servers import Server

pytestmark = pytest.mark.server

WINDOW_MS = 8_000
READ = 20
"""Conversations that are read in these tests."""


@pytest.fixture(autouse=True)
def few_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "READ_MAX", READ)
    monkeypatch.setattr(overview, "READ_MIN", READ)


async def say(store: Store, count: int, name: str = "p") -> list[Conversation]:
    people = [Conversation("generic", "loja", f"{name}{number}") for number in range(count)]
    await store.append([message("m1", who) for who in people])
    return people


@pytest.mark.parametrize("count", [0, 1, 10, READ, 3 * READ])
async def test_every_conversation_is_counted(store: Store, count: int):
    """Those whose state is not read count as waiting."""
    await say(store, count)
    found = await overview_of(store)
    assert (found.waiting, found.in_flight, found.overdue) == (count, 0, 0)
    assert found.states["open"] == min(count, READ)
    assert found.uncounted == max(0, count - READ)


@pytest.mark.parametrize("count", [1, READ, 3 * READ])
async def test_all_that_is_overdue_is_counted(store: Store, clock: Clock, count: int):
    """Where all that were read are overdue, so are those behind them."""
    await say(store, count)
    clock.advance(WINDOW_MS + 5_000)
    found = await overview_of(store)
    assert (found.overdue, found.oldest_overdue_ms, found.waiting) == (count, 5_000, count)


async def test_calls_in_flight_are_seen_behind_a_backlog(store: Store, clock: Clock):
    """However many are overdue, the conversations that are at work are read, too."""
    await say(store, 3 * READ)
    busy = await say(store, 4, "busy")
    clock.advance(WINDOW_MS + 5_000)
    for who in busy:
        assert (await store.claim(store.ref(who), "w")).batch is not None
    found = await overview_of(store)
    assert (found.in_flight, found.waiting, found.overdue) == (4, 3 * READ, 3 * READ)


async def test_nobody_is_overdue_behind_those_that_are_not(store: Store, clock: Clock):
    """Those that wait behind the ones that were read are not overdue if one of these is not."""
    await say(store, READ // 2 - 1, "late")
    clock.advance(5_000)
    await say(store, 3 * READ)
    clock.advance(WINDOW_MS)
    assert (await overview_of(store)).overdue == READ // 2 - 1


async def test_a_held_channel_is_named_however_many_wait(store: Store):
    """Every channel that was counted is asked for, not only those of the conversations that were read."""
    await say(store, 3 * READ)
    behind = Conversation("evolution", "loja", "5511900000001")
    await store.append([message("m1", behind)])
    await store.pause(behind, 3_600_000)
    assert ("evolution", "loja") in (await overview_of(store)).channels


async def test_the_cost_is_bounded(valkey: Server, open_store: Callable[..., Store]):
    """The commands do not grow with what waits."""
    store = open_store(valkey)
    costs: list[int] = []
    for count in (2 * READ, 50 * READ):
        await say(store, count)
        await overview_of(store)
        await store.client.config_resetstat()
        await overview_of(store)
        stats: Any = await store.client.info("commandstats")
        costs.append(sum(one["calls"] for one in stats.values()))
    assert costs[0] == costs[1]
