"""Measure the naive layout: a JSON list per phone with the identity in each message, and a sorted set of ids."""

from __future__ import annotations

import json

import redis

from benchmarks.machine import valkey
from benchmarks.pending import TEXTS
from benchmarks.usage import used_memory

IDS = 2000
CONVERSATIONS_PER_CALL = 5000
FILL = """
local first, last, messages, now_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), 1749766101000
for who = first, last do
  local phone = string.format('55119%08d', who)
  for i = 0, messages - 1 do
    local id = string.format('3EB0%s%010d', string.sub(phone, -8), i)
    local json = ARGV[4]:gsub('PHONE', phone):gsub('MESSAGE', id):gsub('TEXT', ARGV[5 + i % 3])
    redis.call('RPUSH', 'buffer:loja:' .. phone, json)
    redis.call('ZADD', 'seen:loja:' .. phone, now_ms + i, id)
  end
  redis.call('SET', 'timer:loja:' .. phone, '', 'PX', 500000000)
  redis.call('ZADD', 'wake', now_ms + who % 1000, 'loja:' .. phone)
end
"""
MESSAGE = json.dumps(
    {
        "gateway": "evolution",
        "channel": "loja",
        "conversation": "PHONE",
        "message_id": "MESSAGE",
        "timestamp_ms": 1749766101000,
        "received_ms": 1749766101234,
        "kind": "text",
        "text": "TEXT",
        "media": None,
        "sender_name": "Ana Souza",
    },
    separators=(",", ":"),
)


def bytes_per_pending(conversations: int) -> float:
    """Return the bytes per conversation with three short messages, as a difference of used_memory."""
    with valkey() as url, redis.Redis.from_url(url, socket_timeout=60) as client:
        fill, before = client.register_script(FILL), used_memory(url)
        for first in range(0, conversations, CONVERSATIONS_PER_CALL):
            fill(args=[first, min(conversations, first + CONVERSATIONS_PER_CALL) - 1, 3, MESSAGE, *TEXTS])
        return (used_memory(url) - before) / conversations


def bytes_per_id() -> float:
    """Return the bytes per remembered id of one person, by MEMORY USAGE."""
    with valkey() as url, redis.Redis.from_url(url) as client:
        client.register_script(FILL)(args=[1, 1, IDS, MESSAGE, *TEXTS])
        return float(client.memory_usage("seen:loja:5511900000001", samples=0)) / IDS
