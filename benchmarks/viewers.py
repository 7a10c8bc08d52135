"""Watch the operator's page of a running service, as browsers do: each has a stream open and reads it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator

from benchmarks.figures import Meaningless
from benchmarks.machine import wait_until

RECEIVED_MAX = 1 << 20
SELECT_S = 0.1
READING = b"event: panels"
REQUEST = "GET /dashboard/events HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\n\r\n"


class Viewers:
    """Some open streams, which one thread reads. `seen` has the number of readings that each was told."""

    def __init__(self, port: int, token: str, count: int) -> None:
        self._streams = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        self._closed = threading.Event()
        self.seen = [0] * count
        self.ended = 0
        for stream in self._streams:
            stream.sendall(REQUEST.format(token).encode())
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def close(self) -> None:
        """Leave the page."""
        self._closed.set()
        self._thread.join()
        for stream in self._streams:
            stream.close()

    def _read(self) -> None:
        waiting = selectors.DefaultSelector()
        for number, stream in enumerate(self._streams):
            waiting.register(stream, selectors.EVENT_READ, number)
        while not self._closed.is_set():
            for key, _ in waiting.select(SELECT_S):
                data = self._streams[key.data].recv(RECEIVED_MAX)
                self.seen[key.data] += data.count(READING)
                if not data:
                    waiting.unregister(key.fileobj)
                    self.ended += 1


@contextlib.contextmanager
def watching(port: int, token: str, count: int) -> Iterator[Viewers]:
    """Watch until the block ends. Raises Meaningless if a stream told nothing, or has ended by then."""
    viewers = Viewers(port, token, count)
    try:
        wait_until(lambda: all(viewers.seen), "a viewer has seen nothing")
        yield viewers
        if viewers.ended:
            raise Meaningless(f"{viewers.ended} of {count} streams have ended")
    finally:
        viewers.close()
