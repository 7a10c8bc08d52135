"""A bounded load of webhooks from one process: kept-alive connections, each with one request under way."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import sys
import time

import orjson
import uvloop

CONNECTIONS = 64
LENGTH = re.compile(rb"content-length: (\d+)")
PEOPLE = 100_000
HEAD = b"POST /webhooks/evolution HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer t\r\n"
TEMPLATE = {
    "event": "messages.upsert",
    "instance": "loja-teste",
    "data": {
        "key": {"remoteJid": "JID@s.whatsapp.net", "fromMe": False, "id": "MESSAGE"},
        "pushName": "Ana Souza",
        "status": "DELIVERY_ACK",
        "message": {
            "conversation": "gastei 25,78 com Uber",
            "messageContextInfo": {"deviceListMetadataVersion": 2, "messageSecret": "ZHxBLzK1Fbr8C8lo1yHmU143gZK33A2F"},
        },
        "contextInfo": None,
        "messageType": "conversation",
        "messageTimestamp": 1749766101,
        "instanceId": "188cbb13-bcb7-4d5a-979d-ba0fe75a3ee9",
        "source": "android",
    },
    "destination": "https://bot.example.com/webhooks/evolution",
    "date_time": "2025-06-12T16:08:21.833Z",
    "sender": "5511900000000@s.whatsapp.net",
    "server_url": "https://evo.example.com",
    "apikey": None,
}
BEFORE, BETWEEN, AFTER = (
    part
    for piece in orjson.dumps(TEMPLATE).split(b"JID")
    for part in (piece.split(b"MESSAGE") if b"MESSAGE" in piece else [piece])
)


def request(number: int) -> bytes:
    """One webhook of an Evolution text message, of a person and with an id that follow from its number."""
    jid = b"55119%08d" % (number * 7919 % PEOPLE)
    body = b"".join((BEFORE, jid, BETWEEN, b"3EB0%016d" % number, AFTER))
    return b"%bcontent-length: %d\r\n\r\n%b" % (HEAD, len(body), body)


class Connection(asyncio.Protocol):
    """Sends the next request when the last is answered."""

    numbers = itertools.count()
    answered = 0
    refused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport
        self.read = b""
        self._send()

    def data_received(self, data: bytes) -> None:
        """An answer may come in pieces: head and body are two writes."""
        self.read += data
        head, end, body = self.read.partition(b"\r\n\r\n")
        if not end or len(body) < int(LENGTH.search(head)[1]):  # type: ignore[index]
            return
        self.read = b""
        Connection.answered += 1
        Connection.refused += not head.startswith(b"HTTP/1.1 200")
        self._send()

    def _send(self) -> None:
        self.transport.write(request(next(Connection.numbers)))  # type: ignore[attr-defined]


async def main(port: int, seconds: float) -> None:
    """Print requests per second and how many were refused."""
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(Connection, "127.0.0.1", port)
    await asyncio.sleep(1.0)
    began, before = time.perf_counter(), Connection.answered
    await asyncio.sleep(seconds)
    rate = (Connection.answered - before) / (time.perf_counter() - began)
    print(f"{rate:.0f} {Connection.refused}", flush=True)
    os._exit(0)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
