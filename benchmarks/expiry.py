"""Keyspace expiry events alone as the trigger: how late they come, as the server has other volatile keys to look at.

Measured where the subscriber reads the event: the call to the agent would come on top.
"""

from __future__ import annotations

import math
import random
import time

import redis

from benchmarks.figures import Spread
from benchmarks.machine import valkey

PROBES, OVER_MS, WAIT_S = 300, (500, 5000), 15.0
CROWD = """
for i = ARGV[1], ARGV[2] do
  redis.call('SET', 'other:' .. string.format('%08d', i), '', 'PX', 500000000)
end
"""
TIMERS = """
local now, deadlines = redis.call('TIME'), {}
for i, px in ipairs(ARGV) do
  redis.call('SET', 'timer:' .. i, '', 'PX', px)
  deadlines[i] = string.format('%.3f', now[1] * 1000 + now[2] / 1000 + px)
end
return deadlines
"""
LOT = 10_000


def lateness(others: int) -> Spread:
    """Lateness in ms of some timer keys among `others`; infinite for events that did not come within WAIT_S."""
    with valkey(**{"notify-keyspace-events": "Ex"}) as url, redis.Redis.from_url(url) as client:
        for first in range(0, others, LOT):
            client.eval(CROWD, 0, first, min(others, first + LOT) - 1)
        with client.pubsub() as events:
            events.subscribe("__keyevent@0__:expired")
            chance = random.Random(others)
            deadlines = client.eval(TIMERS, 0, *(chance.randint(*OVER_MS) for _ in range(PROBES)))
            return Spread.of(_listen(events, {f"timer:{i}": float(at) for i, at in enumerate(deadlines, 1)}))


def _listen(events: redis.client.PubSub, deadlines: dict[str, float]) -> list[float]:
    """One value for each deadline."""
    late: dict[str, float] = {}
    until = time.time() + OVER_MS[1] / 1000 + WAIT_S
    while len(late) < len(deadlines) and time.time() < until:
        event = events.get_message(ignore_subscribe_messages=True, timeout=0.5)
        if event is not None and (key := event["data"].decode()) in deadlines:
            late[key] = time.time() * 1000 - deadlines[key]
    return [found if (found := late.get(key, math.inf)) <= WAIT_S * 1000 else math.inf for key in deadlines]
