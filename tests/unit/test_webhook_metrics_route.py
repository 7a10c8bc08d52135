"""/metrics over HTTP: who may read it, in which format, and what it says when Redis is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from buffer.models import Conversation
from buffer.store import Store
from buffer.transport.clients import connect
from config.settings import Settings
from tests.messages import message
from tests.servers import Server
from tests.webhook_client import serving
from webhook.metrics.scrape import Scraper
from webhook.metrics.table import metrics

pytestmark = pytest.mark.server

BEARER = {"authorization": "Bearer segredo"}
HERE = {"host": "localhost"}
OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0"}
NOWHERE = "redis://127.0.0.1:1"

MakeSettings = Callable[..., Settings]


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        ("segredo", BEARER, 200),
        ("segredo", HERE, 401),
        ("segredo", {"authorization": "Bearer outro"}, 401),
        (None, HERE, 200),
        (None, {}, 403),
        (None, {**HERE, "x-forwarded-for": "127.0.0.1"}, 403),
        (None, BEARER, 403),
    ],
)
async def test_who_may_read(
    make_settings: MakeSettings, valkey: Server, token: str | None, headers: dict[str, str], status: int
):
    """With ADMIN_TOKEN its bearer, without one this machine; a refusal says what to do."""
    async with serving(make_settings(redis_url=valkey.url, admin_token=token)) as client:
        response = await client.get("/metrics", headers=headers)
    assert response.status_code == status
    if status != 200:
        assert set(response.json()) == {"error", "detail"}
        assert "ADMIN_TOKEN" in response.json()["detail"]


async def test_every_metric_is_there(make_settings: MakeSettings, valkey: Server):
    """Both formats name all metrics of the table from the start, with their content type."""
    settings = make_settings(redis_url=valkey.url, generic_token="t")
    async with serving(settings) as client:
        plain = await client.get("/metrics", headers=HERE)
        strict = await client.get("/metrics", headers={**HERE, **OPENMETRICS})
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert strict.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {metric.full_name for metric in metrics()} - {"debouncer_queue_jobs", "debouncer_workers"}
    assert names <= {family.name for family in text_string_to_metric_families(plain.text)}
    assert names <= {family.name for family in openmetrics.text_string_to_metric_families(strict.text)}


async def test_redis_away_is_503(make_settings: MakeSettings):
    """A service that has not reached Redis yet says so."""
    async with serving(make_settings(redis_url=NOWHERE)) as client:
        response = await client.get("/metrics", headers=HERE)
    assert response.status_code == 503
    assert response.json()["error"] == "not_ready"
    assert "Redis" in response.json()["detail"]


async def test_redis_that_goes_is_503(make_settings: MakeSettings, start_server: Callable[..., Server]):
    """So does one whose Redis has gone, and it answers again when Redis is back."""
    server = start_server()
    async with serving(make_settings(redis_url=server.url)) as client:
        server.stop()
        response = await client.get("/metrics", headers=HERE)
    assert response.status_code == 503
    assert response.json()["detail"].startswith("Redis does not answer: ")


async def test_the_queue_has_a_redis_of_its_own(
    make_settings: MakeSettings, valkey: Server, start_server: Callable[..., Server]
):
    """RQ_REDIS_URL is read there; if it is away, all other metrics are answered."""
    other = start_server()
    with other.client() as connection:
        connection.rpush("rq:queue:flush", "one", "two")
    async with serving(make_settings(redis_url=valkey.url, rq_redis_url=other.url)) as client:
        assert "debouncer_queue_jobs 2.0" in (await client.get("/metrics", headers=HERE)).text
    async with serving(make_settings(redis_url=valkey.url, rq_redis_url=NOWHERE)) as client:
        text = (await client.get("/metrics", headers=HERE)).text
    assert "debouncer_queue_readable 0.0" in text
    assert "debouncer_queue_jobs " not in text
    assert "debouncer_conversations_pending 0.0" in text


async def test_a_frozen_redis_is_503(
    make_settings: MakeSettings, start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
):
    """A server that accepts the connection and says nothing holds no scrape for long."""
    server = start_server()
    async with serving(make_settings(redis_url=server.url)) as client:
        server.freeze()
        try:
            response: Any = await client.get("/metrics", headers=HERE)
        finally:
            server.thaw()
    assert response.status_code == 503


def calls_of(connection: redis.Redis) -> int:
    """Return how many commands the server has run, without those of this test."""
    stats = connection.info("commandstats")
    return sum(
        stat["calls"] for name, stat in stats.items() if name not in ("cmdstat_info", "cmdstat_config|resetstat")
    )


async def test_many_pending_cost_no_more(make_settings: MakeSettings, start_server: Callable[..., Server]):
    """A scrape runs the same commands whether hundreds of conversations wait or ten thousand."""
    server = start_server()
    settings = make_settings(redis_url=server.url)
    store = Store(connect(server.url, timeout_s=20.0), settings)
    await store.append([message(f"m{i}", Conversation("generic", "loja", f"p{i}")) for i in range(200)])
    scraper, counts = Scraper(store, settings), []
    with server.client() as connection:
        for many in (0, 10_000):
            waiting = {f"x{i:015d}": 10.0**13 + i for i in range(many)}
            if waiting:
                connection.zadd(store.keys.of(0, "wake"), waiting)
            await scraper.scrape("")
            connection.config_resetstat()
            text = await scraper.scrape("")
            assert f"debouncer_conversations_pending {200 + many}.0".encode() in text.body
            counts.append(calls_of(connection))
    await store.close()
    assert counts[0] == counts[1]
