"""Send webhooks from one process over kept-alive connections, each with one request under way.

It uses plain sockets and one epoll. At 25,000 requests/s it takes about half of its core, which it shares with the
Redis server. It prints its own share of the core, so that a run with the load as bottleneck can be recognised.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time

from benchmarks.usage import cpu_s

CONNECTIONS = 64
WARM_UP_S = 1.0
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
PEOPLE = 100_000
TEMPLATE = {
    "event": "messages.upsert",
    "instance": "loja-teste",
    "data": {
        "key": {"remoteJid": "55119PERSON@s.whatsapp.net", "fromMe": False, "id": "3EB0MESSAGE"},
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
HEAD = (
    b"POST /webhooks/evolution HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"authorization: Bearer t\r\ncontent-length: %d\r\n\r\n"
)


def template() -> bytes:
    """Return a whole request as a pattern for `%`. The values are the numbers of a person and a message."""
    body = json.dumps(TEMPLATE, separators=(",", ":")).encode()
    body = body.replace(b"%", b"%%").replace(b"PERSON", b"%08d").replace(b"MESSAGE", b"%016d")
    return HEAD % len(body % (0, 0)) + body


class Responses:
    """Finds complete responses in the received bytes. It remembers complete ones, so that each is parsed once."""

    def __init__(self) -> None:
        self.refused = 0
        self._known: set[bytes] = set()
        self._pieces: dict[int, bytes] = {}

    def complete(self, connection: int, data: bytes) -> bool:
        """Return True if these bytes complete a response."""
        if data in self._known:
            return True
        whole = self._pieces.pop(connection, b"") + data
        head, end, body = whole.partition(b"\r\n\r\n")
        found = LENGTH.search(head)
        if not end or found is None or len(body) < int(found[1]):
            self._pieces[connection] = whole
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            self.refused += 1
        elif whole == data:
            self._known.add(data)
        return True


class Load:
    """The connections and their counts."""

    def __init__(self, port: int) -> None:
        self.responses = Responses()
        self.answered = 0
        self._sent = 0
        self._template = template()
        self._poll = select.epoll()
        self._sockets = {}
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            self._sockets[connection.fileno()] = connection
            self._poll.register(connection, select.EPOLLIN)
            self._send(connection)

    def run(self, seconds: float) -> None:
        """Send the next request on each connection that has received its response."""
        until = time.perf_counter() + seconds
        while (now := time.perf_counter()) < until:
            for number, _ in self._poll.poll(until - now):
                data = self._sockets[number].recv(65536)
                if not data:
                    raise SystemExit("the application closed a connection")
                if self.responses.complete(number, data):
                    self.answered += 1
                    self._send(self._sockets[number])

    def _send(self, connection: socket.socket) -> None:
        connection.send(self._template % (self._sent * 7919 % PEOPLE, self._sent))
        self._sent += 1


def main(port: int, seconds: float, pid: int, server: int) -> None:
    """Print the rate and the CPU of the application `pid`, of its Redis server and of this process."""
    load = Load(port)
    load.run(WARM_UP_S)
    began, before = time.perf_counter(), load.answered
    app_s, server_s, own_s = cpu_s(pid), cpu_s(server), time.process_time()
    load.run(seconds)
    took, answered = time.perf_counter() - began, load.answered - before
    app_s, server_s, own_s = cpu_s(pid) - app_s, cpu_s(server) - server_s, time.process_time() - own_s
    result = {
        "per_s": answered / took,
        "refused": load.responses.refused,
        "app_us": app_s / max(1, answered) * 1e6,
        "app_share": app_s / took,
        "server_share": server_s / took,
        "load_share": own_s / took,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
