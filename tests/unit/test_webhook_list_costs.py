"""A list, a look and a scrape run as many commands beside thousands of conversations as beside a hundred."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from buffer.insights import Insights
from buffer.keys import ref_of
from buffer.models import Conversation
from buffer.store import Store
from config.settings import Settings
from tests.messages import message
from tests.servers import Server
from tests.webhook_client import serving

pytestmark = pytest.mark.server

FEW, MANY = 101, 3_000
"""Conversations. Already the few fill a page of 50, and the 100 that a scrape looks at."""

STATES = ("open", "retry", "in_flight", "replying", "redriven", "paused", "broken")
LISTS = (
    *("/conversations", "/flushes", "/dead-letters", "/replies/doubts", "/metrics"),
    *(f"/conversations?state={state}" for state in STATES),
    f"/conversations/{ref_of(('generic', 'loja', 'p1'), 1)}",
)


@pytest.fixture
def own(start_server: Callable[..., Server]) -> Server:
    """A server whose commands nobody else counts."""
    return start_server()


@pytest.fixture
async def client(own: Server, make_settings: Callable[..., Settings]) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(make_settings(redis_url=own.url)) as client:
        client.base_url = httpx.URL("http://127.0.0.1:8000")
        yield client


async def say(store: Store, first: int, last: int) -> None:
    """Let each of many people say something, and bury a dead letter of every tenth."""
    people = [Conversation("generic", "loja", f"p{number}") for number in range(first, last)]
    await store.append([message("m1", who) for who in people])
    for who in people[::10]:
        await store.append([message("m2", who)])
        await store.flush_now(who)
        batch = (await store.claim(store.ref(who), f"w-{who.peer}")).batch
        assert batch is not None
        await store.fail(store.ref(who), batch.token, "HTTP 400", delay_ms=0, dead=True)
        await store.append([message("m3", who)])
    await Insights(store).fold()  # as the worker does every few seconds


async def cost_of(client: httpx.AsyncClient, store: Store, path: str) -> dict[str, int]:
    """Return how often each command ran for one request."""
    await store.client.config_resetstat()
    answer = await client.get(path)
    stats: Any = await store.client.info("commandstats")
    assert answer.status_code == 200, answer.text
    own = ("cmdstat_config", "cmdstat_info", "cmdstat_ping", "cmdstat_client", "cmdstat_hello", "cmdstat_script")
    return {name: stats[name]["calls"] for name in stats if not name.startswith(own)}


async def test_a_list_costs_the_same_beside_thousands(
    client: httpx.AsyncClient, own: Server, open_store: Callable[..., Store]
) -> None:
    """The number of commands does not grow, whatever the list, and neither does that of a later page."""
    store = open_store(own, message_buffer_timeout=600, message_buffer_max_wait=3600)
    store._clock = None
    await say(store, 0, FEW)
    few = {path: await cost_of(client, store, path) for path in LISTS}
    await say(store, FEW, MANY)
    many = {path: await cost_of(client, store, path) for path in LISTS}
    # the history is as long as what ended, and ends at the page
    few_flushes, many_flushes = few.pop("/flushes"), many.pop("/flushes")
    assert many_flushes == few_flushes == {"cmdstat_xrevrange": 1}
    letters = "/dead-letters"
    assert {**many.pop(letters), "cmdstat_hmget": 0, "cmdstat_llen": 0} == {
        **few.pop(letters),
        **{"cmdstat_hmget": 0, "cmdstat_llen": 0},
    }
    assert {path: (few[path], many[path]) for path in few if few[path] != many[path]} == {}
    assert sum(many["/conversations"].values()) < 250
    cursor = (await client.get("/conversations")).json()["next_cursor"]
    later = await cost_of(client, store, f"/conversations?cursor={cursor}")
    assert sum(later.values()) <= sum(many["/conversations"].values()) + 5
