"""Fills a buffer with conversations, and reads how far a worker has got."""

from __future__ import annotations

import uuid

import redis

from buffer.connect import connect
from buffer.envelope import pack
from buffer.keys import Keys
from buffer.models import Conversation, Message
from buffer.store import Store
from config.settings import Settings, load_settings

LOT = 500


def settings_for(url: str, **overrides: object) -> Settings:
    """Settings under a prefix and queue of their own."""
    name = f"bench{uuid.uuid4().hex[:8]}"
    return load_settings(env_file=None, redis_url=url, redis_key_prefix=name, rq_queue=name, **overrides)


async def fill(settings: Settings, conversations: int, messages: int = 1) -> None:
    """Append `messages` to each of `conversations`."""
    store = Store(connect(settings.redis_url or "", timeout_s=60), settings)
    for start in range(0, conversations, LOT):
        people = range(start, min(conversations, start + LOT))
        await store.append([_message(f"55119{person:08d}", number) for person in people for number in range(messages)])
    await store.close()


def _message(peer: str, number: int):  # type: ignore[no-untyped-def]
    message = Message(
        Conversation("evolution", "loja", peer),
        f"3EB0{peer}{number:04d}",
        1_749_766_101_000 + number,
        "text",
        "queria saber do pedido",
        sender_name="Ana Souza",
    )
    return pack(message, b"nnnn", (), 0)


def acked(client: redis.Redis, settings: Settings) -> int:
    """How many flushes the agent has accepted."""
    counters = Keys(settings.redis_key_prefix).of(0, "counters")
    return int(client.hget(counters, "acked") or 0)  # type: ignore[arg-type]


def environment(settings: Settings, agent_port: int) -> dict[str, str]:
    """The same settings for a worker process."""
    return {
        "REDIS_URL": settings.redis_url or "",
        "REDIS_KEY_PREFIX": settings.redis_key_prefix,
        "RQ_QUEUE": settings.rq_queue,
        "AGENT_URL": f"http://127.0.0.1:{agent_port}/",
        "LOG_LEVEL": "WARNING",
    }
