"""Paths that are no webhooks: what they say, and the one form of errors."""

from __future__ import annotations

import re

import pytest

from gateways.registry import GATEWAYS
from tests.webhook_client import serving

pytestmark = pytest.mark.server


@pytest.fixture
async def client(make_settings, valkey):
    async with serving(make_settings(redis_url=valkey.url)) as client:
        yield client


async def test_the_root_says_what_this_is(client):
    """Name, version, and where everything is."""
    response = await client.get("/")
    assert response.status_code == 200
    assert response.json()["service"] == "debouncer"
    assert "/webhooks/<gateway>" in response.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/redoc", 404, "/openapi.json"),
        ("GET", "/metrics", 403, "ADMIN_TOKEN"),
        ("POST", "/webhook/evolution", 404, "webhooks are at /webhooks/<gateway>"),
        ("POST", "/Webhooks/evolution", 404, "webhooks are at /webhooks/<gateway>"),
        ("POST", "/webhooks", 404, "webhooks are at /webhooks/<gateway>"),
        ("POST", "/webhooks/", 404, "known: generic"),
        ("POST", "/webhooks/evolution", 404, "closed"),
        ("POST", "/", 405, "POST"),
        ("DELETE", "/healthz", 405, "DELETE"),
    ],
)
async def test_every_error_has_one_form(client, method, path, status, words):
    """A code for programs and a sentence for people, on each path."""
    response = await client.request(method, path)
    assert response.status_code == status
    assert set(response.json()) == {"error", "detail"}
    assert words in response.json()["detail"]
    assert ("allow" in response.headers) == (status == 405)


async def test_the_docs_load_nothing(client):
    """Every webhook and its ways to authenticate are on the page, and nothing of it comes from elsewhere."""
    page = (await client.get("/docs")).text
    assert all(f"POST /webhooks/{name}</h2>" in page for name in GATEWAYS)
    assert "the header apikey" in page
    assert not re.search(r"<script|//|@import|url\(", page.replace("<!doctype", ""))


async def test_the_docs_can_be_switched_off(make_settings, valkey):
    """The page is gone then, and the description stays."""
    async with serving(make_settings(redis_url=valkey.url, webhook_docs=False)) as client:
        assert [(await client.get(path)).status_code for path in ("/docs", "/openapi.json")] == [404, 200]
