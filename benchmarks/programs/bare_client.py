"""A client that makes many calls to the agent at once, each over a new connection, and does nothing else.

It measures the time that aiohttp alone needs for the connections and requests. All calls connect before the first one
sends its request, so all are about equally late.
"""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp
import orjson
import uvloop

from benchmarks.pending import TEXTS, person


def body(who: int, due_ms: int) -> bytes:
    """Return the body of a flush with one short message, as our worker sends it."""
    number, text = person(who), TEXTS[0]
    message = {
        "message_id": f"3EB0{number[-8:]}0000000000",
        "timestamp_ms": due_ms,
        "received_ms": due_ms,
        "kind": "text",
        "text": text,
        "media": None,
        "sender_name": "Ana Souza",
    }
    conversation = {"gateway": "evolution", "channel": "loja", "id": number, "name": "Ana Souza"}
    said = {"reason": "quiet", "conversation": conversation, "text": text, "messages": [message]}
    times = {"opened_ms": due_ms, "last_ms": due_ms, "closed_ms": due_ms}
    return orjson.dumps({"flush_id": f"0-{number}"} | said | times)


async def main(url: str, count: int) -> None:
    """Make all calls now."""
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"content-type": "application/json"}
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:

        async def call(who: int) -> None:
            async with session.post(url, data=body(who, due_ms)) as answer:
                await answer.read()

        due_ms = int(time.time() * 1000)
        await asyncio.gather(*(call(who) for who in range(count)))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
