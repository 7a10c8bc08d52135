"""What one reading of the page costs, and how much of everything it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from buffer.duplicates import note_duplicates
from buffer.models import Conversation
from buffer.person_store import People
from buffer.store import Store
from config.routes import load_routes
from config.settings import Settings
from tests.messages import message
from tests.servers import Server
from webhook.dashboard.models import HeldList
from webhook.dashboard.render import page_html
from webhook.dashboard.snapshot import ENDED_MAX, HELD_MAX, LOOKS_MAX, PENDING_MAX, SnapshotReader
from webhook.dashboard.view import View

pytestmark = pytest.mark.server

FEW, MANY = 220, 1_500
"""Conversations, each with a dead letter. Already the few are more than the page shows of anything."""

CONNECTING = ("cmdstat_config", "cmdstat_info", "cmdstat_ping", "cmdstat_client", "cmdstat_hello", "cmdstat_script")


@pytest.fixture
def store(start_server: Callable[..., Server], open_store: Callable[..., Store]) -> Store:
    """A store on a server whose commands nobody else counts."""
    found = open_store(start_server(), message_buffer_timeout=600, message_buffer_max_wait=3600)
    found._clock = None
    return found


async def fill(store: Store, first: int, last: int) -> None:
    """Let each person have a dead letter, a duplicate and an open burst."""
    people = [Conversation("generic", "loja", f"p{number}") for number in range(first, last)]
    for who in people:
        await store.append([message("m1", who)])
        await store.flush_now(who)
        batch = (await store.claim(store.ref(who), f"w-{who.peer}")).batch
        assert batch is not None
        await store.fail(store.ref(who), batch.token, "HTTP 400", delay_ms=0, dead=True)
    await store.append([message("m2", who) for who in people])
    await note_duplicates(store, [(store.ref(who), 0) for who in people])


async def commands_of(store: Store, reader: SnapshotReader) -> dict[str, int]:
    """Return how often each command ran for one reading."""
    await store.client.config_resetstat()
    await reader.read()
    stats: Any = await store.client.info("commandstats")
    return {name: stats[name]["calls"] for name in stats if not name.startswith(CONNECTING)}


async def test_a_reading_costs_the_same_beside_thousands(store: Store, make_settings: Callable[..., Settings]):
    """The number of commands does not grow with what waits, has ended or is dead, and neither does the page."""
    reader = SnapshotReader(store, load_routes(make_settings()), clock=lambda: 0.0)
    await fill(store, 0, FEW)
    await reader.read()  # what changes slowly is read once
    await fill(store, FEW, FEW + 1)
    few = await commands_of(store, reader)
    await fill(store, FEW + 1, MANY)
    many = await commands_of(store, reader)
    found = await reader.read()
    await reader.close()
    assert many == few
    assert sum(many.values()) < 1_000
    assert (len(found.pending), len(found.ended)) == (PENDING_MAX, ENDED_MAX)
    assert sum(1 for one in found.pending if one.arrivals_ms) == LOOKS_MAX
    assert (found.strip.pending, found.strip.dead) == (MANY, MANY)
    assert (_items(found.dead_letters), found.dead_letters.total) == (HELD_MAX, MANY)
    assert sum(map(len, found.duplicates.values())) < FEW
    assert await store.client.xlen(store.keys.of(0, "duplicates")) < MANY / 2
    assert len(page_html(found, View(can_act=True))) < 400_000


def _items(held: HeldList) -> int:
    return sum(len(group.items) for group in held.groups)


async def test_the_history_is_read_again_once_it_differs(store: Store, make_settings: Callable[..., Settings]):
    """A record that has come is shown, and one that an erase has taken away is not."""
    reader = SnapshotReader(store, load_routes(make_settings()))
    await fill(store, 0, 3)
    assert len((await reader.read()).ended) == 3
    await fill(store, 3, 4)
    assert len((await reader.read()).ended) == 4
    await People(store).erase(Conversation("generic", "loja", "p1"))
    found = (await reader.read()).ended
    await reader.close()
    assert str(store.ref(Conversation("generic", "loja", "p1"))) not in {one.ref for one in found}
