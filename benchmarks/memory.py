"""Redis memory per pending conversation and per remembered message id, as a difference of used_memory."""

from __future__ import annotations

import asyncio

import redis

from benchmarks.burst import fill, settings_for
from benchmarks.table import Row
from config.settings import Settings

CONVERSATIONS = 20_000


def measure(url: str) -> list[Row]:
    """Three short messages each, with windows that do not end meanwhile; targets from the design."""
    settings = settings_for(url, message_buffer_timeout=3000, message_buffer_max_wait=6000)
    before = _used(settings)
    asyncio.run(fill(settings, CONVERSATIONS, 3))
    pending = (_used(settings) - before) / CONVERSATIONS
    few = settings_for(url, message_buffer_timeout=3000, message_buffer_max_wait=6000)
    return [
        Row("memory per pending conversation, three short messages (bytes)", pending, "target", 1024.0, True),
        Row("memory per remembered message id (bytes)", _per_id(few), "target", 32.0, True),
    ]


def _per_id(settings: Settings) -> float:
    """One person's memory of 2,000 ids, by MEMORY USAGE."""
    asyncio.run(fill(settings, 1, 2000))
    with redis.Redis.from_url(settings.redis_url or "") as client:
        [key] = client.keys(f"{settings.redis_key_prefix}:*:seen:*")  # type: ignore[misc]
        return float(client.memory_usage(key)) / 2000  # type: ignore[arg-type]


def _used(settings: Settings) -> float:
    with redis.Redis.from_url(settings.redis_url or "") as client:
        return float(client.info("memory")["used_memory"])  # type: ignore[index]
