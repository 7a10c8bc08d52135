"""The upkeep announces its deployment: two on one Redis with one prefix notice each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from buffer.errors import StoreFull
from buffer.insights import Insights
from buffer.owner_store import Owners
from buffer.owners import RECENT_MS
from buffer.store import Store
from tests.conftest import Clock
from tests.servers import Server
from worker import upkeep
from worker.upkeep import Upkeep

WITHIN_S = 20.0


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the upkeep has warned of."""
    found: list[str] = []
    monkeypatch.setattr(upkeep.log, "warning", found.append)
    return found


async def test_another_deployment_is_logged_once(
    valkey: Server, open_store: Callable[..., Store], clock: Clock, warnings: list[str]
):
    """The second deployment warns at its first round, then is silent, and warns again after the first has come back."""
    ours, other = (open_store(valkey, agent_url=url) for url in ("http://one/", "http://two/"))
    await Upkeep(ours, ours.settings)._announce()
    second = Upkeep(other, other.settings)
    await second._announce()
    await second._announce()
    assert len(warnings) == 1
    assert "AGENT_URL" in warnings[0]
    clock.advance(RECENT_MS)
    await second._announce()
    await Upkeep(ours, ours.settings)._announce()
    await second._announce()
    assert len(warnings) == 3, "ours warns of the second, and the second of ours again"


async def test_a_server_that_refuses_the_note_keeps_nothing_from_its_turn(
    valkey: Server, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch, warnings: list[str]
):
    """A full Redis refuses the note; the sweep, which makes room, still runs."""
    store = open_store(valkey)
    swept = asyncio.Event()

    async def refuse(owners: Owners, host: str) -> None:
        raise StoreFull

    async def sweep() -> None:
        swept.set()

    mine = Upkeep(store, store.settings)
    monkeypatch.setattr(Owners, "announce", refuse)
    monkeypatch.setattr(mine, "_sweep", sweep)
    task = asyncio.create_task(mine.run())
    await asyncio.wait_for(swept.wait(), WITHIN_S)
    task.cancel()
    assert warnings == []


async def test_counts_are_added_up(valkey: Server, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch):
    """Round after round, also after one that failed: append has not to do that itself."""
    store = open_store(valkey)
    folded: list[int] = []
    done = asyncio.Event()

    async def fold(insights: Insights) -> None:
        folded.append(1)
        if len(folded) == 1:
            raise StoreFull
        done.set()

    monkeypatch.setattr(upkeep, "FOLD_EVERY_S", 0.0)
    monkeypatch.setattr(Insights, "fold", fold)
    task = asyncio.create_task(Upkeep(store, store.settings)._fold_forever())
    await asyncio.wait_for(done.wait(), WITHIN_S)
    task.cancel()
