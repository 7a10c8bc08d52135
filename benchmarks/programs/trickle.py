"""Append one message to new conversations at a steady rate, as a webhook does, and print the number.

Arrivals are a Poisson process and windows are random. So some deadlines are nearer than all earlier ones.
"""

from __future__ import annotations

import asyncio
import random
import sys

import uvloop

from benchmarks.pending import person, short_message
from buffer.store import Store
from buffer.transport.clients import connect
from config.settings import Settings, load_settings

WINDOWS_S = [0.5 + 0.0625 * step for step in range(17)]
FIRST_PERSON = 50_000_000
"""Above the numbers of all pending conversations."""


async def main(rate: float, count: int, first: int) -> None:
    """Append `count` messages at `rate` a second. The settings come from the environment."""
    chance = random.Random(first)
    client = connect(load_settings(env_file=None).redis_url or "", timeout_s=10)
    stores = [Store(client, _settings(window_s)) for window_s in WINDOWS_S]
    loop = asyncio.get_running_loop()
    at, waiting = loop.time(), set[asyncio.Task[None]]()
    for number in range(count):
        at += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, at - loop.time()))
        task = asyncio.create_task(_append(chance.choice(stores), FIRST_PERSON + first + number))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    await asyncio.gather(*waiting)
    print(count, flush=True)
    await client.aclose()


def _settings(window_s: float) -> Settings:
    return load_settings(env_file=None, message_buffer_timeout=window_s)


async def _append(store: Store, who: int) -> None:
    [appended] = await store.append([short_message(person(who), 0)])
    if appended.status != "new":
        raise RuntimeError(f"a message was {appended.status}")


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
