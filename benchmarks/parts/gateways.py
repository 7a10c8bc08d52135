"""Measure the CPU of one webhook of each gateway, beside `generic`: verify, parse, append and respond.

It runs in one process without a socket, so that the gateways differ by their own code alone. The same recorded text
message is sent again and again. So all but the first are duplicates, for every gateway alike.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from benchmarks.figures import Figure, Meaningless, Missing, attempt
from benchmarks.machine import valkey
from benchmarks.pending import settings_for
from benchmarks.table import Row
from buffer.store import Store
from buffer.transport.clients import connect
from webhook.asgi import WebhookEndpoint
from webhook.ingest import Ingest

FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"
TEXTS = {
    "evolution": ("text_conversation_v22.json", "evolution_token"),
    "meta": ("text_escaped_unicode_signature.json", "meta_app_secret"),
    "twilio": ("wa_text_br12.form", "twilio_auth_token"),
    "waha": ("message_text.json", "waha_hmac_key"),
    "zapi": ("lid_only.json", "zapi_token"),
    "uazapi": ("text.json", "uazapi_token"),
    "telegram": ("photo.json", "telegram_secret_token"),
    "chatwoot": ("incoming_text.json", "chatwoot_secret"),
}
GENERIC = (
    b'{"conversation":"5511900000001","text":"gastei 25,78 com Uber",'
    b'"message_id":"3EB0062835B784532CE8B8","sender_name":"Ana"}'
)
REQUESTS = 2000
CONCURRENCY = 64
ROUNDS = 3


def measure() -> Iterator[Row]:
    """Take the least of some rounds of each gateway, in turn."""
    requests = {name: _recorded(name, *how) for name, how in TEXTS.items()} | {"generic": _generic()}
    rounds: dict[str, list[Figure]] = {name: [] for name in requests}
    with valkey() as url:
        for _ in range(ROUNDS):
            for name, how in requests.items():
                rounds[name].append(attempt(lambda how=how: uvloop.run(_cpu_us(url, *how))))  # type: ignore[misc]
    least = {name: _least(figures) for name, figures in rounds.items()}
    for name in TEXTS:
        yield Row(f"CPU of one {name} webhook, all of it (us)", least[name], "generic", least["generic"], less=True)


def _least(figures: list[Figure]) -> Figure:
    return next((figure for figure in figures if isinstance(figure, Missing)), min(figures, key=float))


def _generic() -> tuple[dict[str, Any], bytes, dict[str, str]]:
    return _scope("/webhooks/generic", {"authorization": "Bearer t"}), GENERIC, {"generic_token": "t"}


def _recorded(gateway: str, name: str, secret: str) -> tuple[dict[str, Any], bytes, dict[str, str]]:
    folder = FIXTURES / gateway
    sent = json.loads((folder / f"{name.partition('.')[0]}.headers.json").read_bytes())
    called = urlsplit(sent["auth"].get("url", "https://bot.example.com"))
    secrets = {secret: sent["auth"]["secret"], "public_base_url": f"{called.scheme}://{called.netloc}"}
    return _scope(sent["path"], sent["headers"]), (folder / name).read_bytes(), secrets


def _scope(path: str, headers: dict[str, str]) -> dict[str, Any]:
    address = urlsplit(path)
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": "POST",
        "path": address.path,
        "raw_path": address.path.encode(),
        "query_string": address.query.encode(),
        "headers": pairs,
    }


async def _cpu_us(url: str, scope: dict[str, Any], body: bytes, secrets: dict[str, str]) -> float:
    settings = settings_for(url, log_level="WARNING", **secrets)
    store = Store(connect(url, timeout_s=10), settings)
    ingest = Ingest(settings)
    ingest.accept_into(store)
    webhooks = WebhookEndpoint(ingest)
    statuses: set[int] = set()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: Any) -> None:
        if event["type"] == "http.response.start":
            statuses.add(event["status"])

    async def client() -> None:
        for _ in range(REQUESTS // CONCURRENCY):
            await webhooks(scope, receive, send)

    await client()
    before = time.process_time()
    await asyncio.gather(*(client() for _ in range(CONCURRENCY)))
    spent = time.process_time() - before
    await store.close()
    if statuses != {200}:
        raise Meaningless(f"{scope['path']} answered {statuses}")
    return spent / (REQUESTS // CONCURRENCY * CONCURRENCY) * 1e6
