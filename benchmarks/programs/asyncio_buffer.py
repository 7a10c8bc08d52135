"""A buffer inside one process: a dict of bursts and one sleeping task for each, as in a simple bot with one process.

It makes its own messages, without HTTP, Redis or parsing. Its only other work is the call to the agent. It loses all
bursts when it ends. It prints its resident memory before and after the pending conversations, its peak memory, and the
steal time of each round.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time

import aiohttp
import uvloop

from benchmarks.usage import StealTime, is_disturbed, peak_mb, resident_mb

LONG_WINDOW_S = 500_000.0
WINDOW_RANGE_S = (0.5, 1.5)
TEXTS = ("oi", "tudo bem?", "queria saber do pedido")


class Buffer:
    """The bursts, by phone number."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._bursts: dict[str, list[dict[str, object]]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def append(self, phone: str, message: dict[str, object], window_s: float) -> None:
        """Add a message and start the window again."""
        self._bursts.setdefault(phone, []).append(message)
        if (waiting := self.tasks.pop(phone, None)) is not None:
            waiting.cancel()
        self.tasks[phone] = asyncio.create_task(self._flush_after(phone, window_s))

    def hold(self, phone: str, messages: list[dict[str, object]]) -> None:
        """Add a burst that stays pending, in the same form as `append` leaves one."""
        self._bursts[phone] = messages
        self.tasks[phone] = asyncio.create_task(self._flush_after(phone, LONG_WINDOW_S))

    async def _flush_after(self, phone: str, window_s: float) -> None:
        deadline_ms = int((time.time() + window_s) * 1000)
        await asyncio.sleep(window_s)
        messages = self._bursts.pop(phone)
        text = "\n".join(str(message["text"]) for message in messages)
        body = {"flush_id": phone, "text": text, "messages": messages, "closed_ms": deadline_ms}
        async with self._session.post(self._url, data=json.dumps(body, separators=(",", ":")).encode()) as answer:
            await answer.read()
        del self.tasks[phone]


def message(phone: str, number: int) -> dict[str, object]:
    """Return a message in the form that an application would keep."""
    return {
        "message_id": f"3EB0{phone}{number:010d}",
        "timestamp_ms": 1_749_766_101_000 + number,
        "received_ms": int(time.time() * 1000),
        "kind": "text",
        "text": TEXTS[number % len(TEXTS)],
        "sender_name": "Ana Souza",
    }


async def main(url: str, pending: int, rate: float, count: int) -> None:
    """Hold `pending` bursts and flush `count` others at `rate` a second. Repeat while the host disturbs it."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        buffer = Buffer(session, url)
        empty_mb = resident_mb(os.getpid())
        for who in range(pending):
            phone = f"55118{who:08d}"
            buffer.hold(phone, [message(phone, number) for number in range(len(TEXTS))])
            if who % 1000 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        full_mb = resident_mb(os.getpid())
        stolen: list[float] = []
        while is_disturbed(stolen):
            steal_time = StealTime()
            await trickle(buffer, rate, range(len(stolen) * count, (len(stolen) + 1) * count))
            await asyncio.gather(*list(buffer.tasks.values())[pending:])
            stolen.append(steal_time.percent())
        memory = {"empty_mb": empty_mb, "full_mb": full_mb, "peak_mb": peak_mb(os.getpid())}
        print(json.dumps(memory | {"stolen_percent": stolen}), flush=True)
        os._exit(0)  # to cancel a million tasks would take longer than the measurement


async def trickle(buffer: Buffer, rate: float, people: range) -> None:
    """Append one message of each person, at random moments."""
    chance, loop = random.Random(1), asyncio.get_running_loop()
    at = loop.time()
    for who in people:
        at += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, at - loop.time()))
        phone = f"55119{who:08d}"
        buffer.append(phone, message(phone, 0), chance.uniform(*WINDOW_RANGE_S))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
