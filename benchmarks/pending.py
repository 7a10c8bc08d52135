"""Create pending conversations: append bursts through the store, and copy them for larger numbers."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import redis

from benchmarks.figures import Meaningless
from buffer.keys import Keys
from buffer.models import Append, Conversation, Message
from buffer.store import Store
from buffer.stored_message import encode_message
from buffer.transport.clients import connect
from config.settings import Settings, load_settings

CONVERSATIONS_PER_APPEND = 500
TEXTS = ("oi", "tudo bem?", "queria saber do pedido")
APPENDED_MAX = 10_000
"""Conversations that are appended message by message. More conversations are copies of these."""

COPIES_PER_CALL = 5000
LONG_WINDOW = {"message_buffer_timeout": 500_000.0, "message_buffer_max_wait": 1_000_000.0, "dedupe_ttl": 2_000_000.0}
COPY = """
local root, first, last, kinds = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
for i = first, last do
  local from, to = ARGV[4 + kinds + i % (#ARGV - 3 - kinds)], string.format('%016d', i)
  for kind = 4, 3 + kinds do
    redis.call('COPY', root .. ARGV[kind] .. ':' .. from, root .. ARGV[kind] .. ':' .. to)
  end
  redis.call('HSET', root .. 'conv:' .. to, 'ref', '0-' .. to)
  redis.call('ZADD', root .. 'wake', redis.call('ZSCORE', root .. 'wake', from) + i % 1000, to)
end
"""

PREFIX_NUMBERS = itertools.count()
"""The number in each key prefix. A prefix is as long as the default one, because every key contains it."""


def settings_for(url: str, **overrides: object) -> Settings:
    """Return settings with a key prefix and a queue of their own."""
    name = f"b{next(PREFIX_NUMBERS):02d}"
    return load_settings(env_file=None, redis_url=url, redis_key_prefix=name, rq_queue=name, **overrides)


def environment(settings: Settings, agent_url: str, **more: str) -> dict[str, str]:
    """Return the same settings as environment variables of a worker process."""
    return {
        "REDIS_URL": settings.redis_url or "",
        "REDIS_KEY_PREFIX": settings.redis_key_prefix,
        "RQ_QUEUE": settings.rq_queue,
        "AGENT_URL": agent_url,
        "LOG_LEVEL": "WARNING",
        **more,
    }


def short_message(peer: str, number: int, channel: str = "loja") -> Append:
    """Return a short message of a person. Its id is made of its number."""
    message = Message(
        Conversation("evolution", channel, peer),
        f"3EB0{peer[-8:]}{number:010d}",
        1_749_766_101_000 + number,
        "text",
        TEXTS[number % len(TEXTS)],
        sender_name="Ana Souza",
    )
    return encode_message(message, b"nnnn", (), 0)


def person(number: int) -> str:
    """Return the phone number of a person, one of 100 million."""
    return f"55119{number:08d}"


async def append(settings: Settings, conversations: int, messages: int = 1, channels: int = 1) -> None:
    """Append `messages` messages to each of `conversations` conversations, which are shared out among channels."""
    store = Store(connect(settings.redis_url or "", timeout_s=60), settings)
    for first in range(0, conversations, CONVERSATIONS_PER_APPEND):
        people = range(first, min(conversations, first + CONVERSATIONS_PER_APPEND))
        named = [(person(who), f"loja{who % channels or ''}") for who in people]
        await store.append([short_message(who, number, name) for number in range(messages) for who, name in named])
    await store.close()


async def append_at_once(settings: Settings, conversations: int) -> None:
    """Append one message to each conversation in one script call. Raises Meaningless if the deadlines differ."""
    store = Store(connect(settings.redis_url or "", timeout_s=60), settings)
    appended = await store.append([short_message(person(who), 0) for who in range(conversations)])
    await store.close()
    if len({one.deadline_ms for one in appended}) != 1:
        raise Meaningless("the conversations are not due in the same millisecond")


def fill(settings: Settings, conversations: int, messages: int = 3) -> None:
    """Create pending conversations: append the first ones, and let the server copy them key by key."""
    appended = min(conversations, APPENDED_MAX)
    asyncio.run(append(settings, appended, messages))
    root = Keys(settings.redis_key_prefix).root(0)
    with redis.Redis.from_url(settings.redis_url or "", socket_timeout=60) as client:
        names = [key.decode().removeprefix(root + "conv:") for key in client.scan_iter(root + "conv:*", count=1000)]
        kinds = _kinds(client, root, names[0])
        copy = client.register_script(COPY)
        for first in range(appended, conversations, COPIES_PER_CALL):
            last = min(conversations, first + COPIES_PER_CALL) - 1
            copy(keys=[root], args=[first, last, len(kinds), *kinds, *names[:1000]])


def _kinds(client: redis.Redis, root: str, name: str) -> list[str]:
    """Return the kinds of keys that a pending conversation has."""
    keys = client.scan_iter(f"{root}*:{name}", count=10_000)
    return sorted(key.decode().removeprefix(root).removesuffix(f":{name}") for key in keys)


def usage_per_conversation(settings: Settings, sample: int = 300) -> float:
    """Return the MEMORY USAGE of one conversation's keys, as the mean of a sample, without its index entries."""
    root = Keys(settings.redis_key_prefix).root(0)
    with redis.Redis.from_url(settings.redis_url or "") as client:
        wake: Any = client.zrange(root + "wake", 0, sample - 1)
        names = [name.decode() for name in wake]
        kinds = _kinds(client, root, names[0])
        pipeline = client.pipeline(transaction=False)
        for name in names:
            for kind in kinds:
                pipeline.memory_usage(f"{root}{kind}:{name}")
        return sum(found or 0 for found in pipeline.execute()) / len(names)


def refs(settings: Settings, conversations: int) -> list[str]:
    """Return the references of the first conversations, as RQ's jobs name them."""
    store = Store(connect(settings.redis_url or "", timeout_s=1), settings)
    return [str(store.ref(short_message(person(who), 0).conversation)) for who in range(conversations)]


def counter(client: redis.Redis, settings: Settings, name: str) -> int:
    """Return one of the buffer's totals, for example `acked` or `dispatches`, of all channels together or of none."""
    keys = Keys(settings.redis_key_prefix)
    channels = [one.decode() for one in client.smembers(keys.of(0, "channels")) if isinstance(one, bytes)]
    places = [keys.of(0, "counters"), *(keys.of(0, "tally", channel) for channel in channels)]
    return sum(int(client.hget(key, name) or 0) for key in places)
