"""Serves the sample agents of `debouncer sample-agent` in a thread of the test."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cli.sample.base import SampleAgent

START_WITHIN_S = 30.0


@contextmanager
def served(agent: SampleAgent) -> Iterator[str]:
    """Serve a sample agent during a `with` block. Yield the address of its server."""
    loop, stopped, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    async def serve() -> None:
        async with agent.serve(listener):
            ready.set()
            await stopped.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(START_WITHIN_S)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    loop.call_soon_threadsafe(stopped.set)
    thread.join()
    loop.close()
