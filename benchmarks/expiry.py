"""Measure how late keyspace expiry events are, beside a number of other keys with a TTL.

The lateness is taken where the subscriber reads the event, so it does not contain a call to the agent.
"""

from __future__ import annotations

import math
import random
import time

import redis

from benchmarks.figures import Spread
from benchmarks.machine import valkey

TIMER_KEYS = 300
TTL_RANGE_MS = (500, 5000)
LATENESS_MAX_S = 15.0
"""An event that is later than this counts as one that never came."""

SET_OTHER_KEYS = """
for i = ARGV[1], ARGV[2] do
  redis.call('SET', 'other:' .. string.format('%08d', i), '', 'PX', 500000000)
end
"""
SET_TIMERS = """
local now, deadlines = redis.call('TIME'), {}
for i, px in ipairs(ARGV) do
  redis.call('SET', 'timer:' .. i, '', 'PX', px)
  deadlines[i] = string.format('%.3f', now[1] * 1000 + now[2] / 1000 + px)
end
return deadlines
"""
KEYS_PER_CALL = 10_000


def lateness(others: int) -> Spread:
    """Return the lateness (ms) of the timer keys among `others` keys. Infinite if an event is missing."""
    with valkey(**{"notify-keyspace-events": "Ex"}) as url, redis.Redis.from_url(url) as client:
        for first in range(0, others, KEYS_PER_CALL):
            client.eval(SET_OTHER_KEYS, 0, first, min(others, first + KEYS_PER_CALL) - 1)
        with client.pubsub() as events:
            events.subscribe("__keyevent@0__:expired")
            chance = random.Random(others)
            deadlines = client.eval(SET_TIMERS, 0, *(chance.randint(*TTL_RANGE_MS) for _ in range(TIMER_KEYS)))
            return Spread.of(_listen(events, {f"timer:{i}": float(at) for i, at in enumerate(deadlines, 1)}))


def _listen(events: redis.client.PubSub, deadlines: dict[str, float]) -> list[float]:
    """Return one lateness (ms) for each deadline."""
    late: dict[str, float] = {}
    until = time.time() + TTL_RANGE_MS[1] / 1000 + LATENESS_MAX_S
    while len(late) < len(deadlines) and time.time() < until:
        event = events.get_message(ignore_subscribe_messages=True, timeout=0.5)
        if event is not None and (key := event["data"].decode()) in deadlines:
            late[key] = time.time() * 1000 - deadlines[key]
    return [found if (found := late.get(key, math.inf)) <= LATENESS_MAX_S * 1000 else math.inf for key in deadlines]
