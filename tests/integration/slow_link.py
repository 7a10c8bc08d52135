"""A link between two servers that is as slow as the test wants, and can be cut with what is on its way."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque

LOOK_EVERY_S = 0.005
CHUNK = 65_536


class SlowLink:
    """Passes what comes in on its port to another port, each piece `lag_s` later, both ways."""

    def __init__(self, target_port: int, lag_s: float) -> None:
        self.lag_s = lag_s
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._cut = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """Close every connection and the port; what is on its way is lost."""
        self._cut.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        self._listener.settimeout(LOOK_EVERY_S)
        while not self._cut.is_set():
            with contextlib.suppress(OSError):
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target_port))
                self._threads.append(threading.Thread(target=self._carry, args=(near, far), daemon=True))
                self._threads[-1].start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        on_its_way: deque[tuple[float, socket.socket, bytes]] = deque()
        with near, far, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while not self._cut.is_set():
                for key, _ in selector.select(LOOK_EVERY_S):
                    source: socket.socket = key.fileobj  # type: ignore[assignment]
                    if not (piece := source.recv(CHUNK)):
                        return
                    on_its_way.append((time.monotonic() + self.lag_s, key.data, piece))
                while on_its_way and on_its_way[0][0] <= time.monotonic():
                    _, sink, piece = on_its_way.popleft()
                    sink.sendall(piece)
