"""A key of a partition that is of another type hides nothing else from operators and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from buffer.models import Conversation
from buffer.store import Store
from cli.overview import overview_of
from config.settings import Settings
from tests.messages import message
from tests.servers import Server
from tests.webhook_client import serving

pytestmark = pytest.mark.server

ANA = Conversation("evolution", "loja", "5511900000001")
LISTS = ("/conversations", "/flushes", "/dead-letters", "/replies/doubts", "/dead-letters/export")
KINDS = ("counters", "channels", "history", "dead", "doubt", "idle", "suspects", "alias")


@pytest.fixture
def store(valkey: Server, open_store: Callable[..., Store]) -> Store:
    """The same buffer as that of the service, under the server's own time."""
    found = open_store(valkey, message_buffer_timeout=600, message_buffer_max_wait=3600)
    found._clock = None
    return found


@pytest.fixture
async def client(make_settings: Callable[..., Settings], valkey: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(make_settings(redis_url=valkey.url)) as client:
        client.base_url = httpx.URL("http://127.0.0.1:8000")
        yield client


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", ["string", "list"])
async def test_a_damaged_index_hides_no_other(client: httpx.AsyncClient, store: Store, kind: str, other: str):
    """Lists, metrics and `status` go on, with what the other keys say."""
    await store.append([message("m1", ANA)])
    key = store.keys.of(0, kind)
    await store.client.delete(key)
    await (store.client.set(key, "damage") if other == "string" else store.client.rpush(key, "damage"))
    for path in LISTS:
        assert (await client.get(path)).status_code == 200, path
    metrics = await client.get("/metrics")
    assert metrics.status_code == 200, metrics.text
    assert "debouncer_conversations_pending 1.0" in metrics.text
    assert (await client.get("/conversations")).json()["total"] == 1
    assert (await overview_of(store)).waiting == 1


async def test_damaged_counters_are_set_aside_by_the_next_count(client: httpx.AsyncClient, store: Store):
    """The key is kept as evidence, and what is counted from then on is shown."""
    await store.client.set(store.keys.of(0, "counters"), "damage")
    await store.append([message("m1", ANA)])
    assert (await store.dispatch(0, 10)).due == []
    await store.flush_now(ANA)
    assert len((await store.dispatch(0, 10)).due) == 1
    assert await store.client.get(store.keys.of(0, "sick", "counters")) == b"damage"
    assert (await store.snapshot(0, 0))["counters"] == {"dispatches": 1}
    assert (await client.get("/metrics")).status_code == 200


async def test_a_counter_that_is_no_number_is_left_out(client: httpx.AsyncClient, store: Store):
    """A field that somebody has written by hand spoils no scrape."""
    await store.append([message("m1", ANA)])
    values: Any = {
        "dispatches": "many",
        "append_ms:0": "nan",
        "append_ms:sum": "",
        "requests_rejected:evolution:x": "inf",
    }
    await store.client.hset(store.keys.of(0, "counters"), mapping=values)
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert "debouncer_conversations_pending 1.0" in answer.text
