"""An agent that records every call it gets and answers as the test tells it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aiohttp import web

from tests.servers import free_port

START_WITHIN_S = 30.0
TICK_S = 0.1
BODY_MAX = 64 * 1024 * 1024


@dataclass(slots=True, frozen=True)
class Answer:
    """How one call is answered: `held` until `release`, `cut` by closing the connection instead."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    held: bool = False
    cut: bool = False


@dataclass
class Call:
    """One request as it arrived; times are the wall clock of this machine, which is also that of Redis."""

    arrived_ms: float
    headers: Mapping[str, str]
    body: bytes
    path: str = "/agent"
    ended_ms: float | None = None

    @cached_property
    def content(self) -> dict[str, Any]:
        """The JSON of the body."""
        return json.loads(self.body)

    @property
    def key(self) -> str:
        """The Idempotency-Key."""
        return self.headers["Idempotency-Key"]

    @property
    def attempt(self) -> int:
        """The number of this attempt."""
        return int(self.headers["Debouncer-Attempt"])

    @property
    def peer(self) -> str:
        """The person whose messages these are."""
        return str(self.content["conversation"]["id"])

    @property
    def ids(self) -> list[str]:
        """The message ids, in order."""
        return [message["message_id"] for message in self.content["messages"]]

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        return [message["text"] for message in self.content["messages"]]


class RecordingAgent:
    """An HTTP server in a thread of its own; answers 200 unless told otherwise."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.default = Answer()
        self.answer_of: Callable[[Call], Answer] | None = None
        self.most_at_once = 0
        self.stalled_ms = 0.0
        self._answers: dict[str, deque[Answer]] = {}
        self._at_work = 0
        self._port = free_port()
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._watch: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The address for AGENT_URL."""
        return f"http://127.0.0.1:{self._port}/agent"

    def open(self) -> None:
        """Begin to listen."""
        self._run(self._open())

    def shut(self) -> None:
        """Close the port and every connection: calls are refused from now on."""
        self._run(self._shut())

    def close(self) -> None:
        """End for good."""
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def answer(self, peer: str, *answers: Answer) -> None:
        """Answer this person's calls so, one after the other; the last one stays."""
        self._answers[peer] = deque(answers)

    def release(self) -> None:
        """Answer what is held, now and from now on."""
        self._loop.call_soon_threadsafe(self._released.set)

    def calls_of(self, peer: str) -> list[Call]:
        """The calls with this person's messages, in order of arrival."""
        return [call for call in list(self.calls) if call.peer == peer]

    def under_way(self) -> list[Call]:
        """The calls that have not been answered yet."""
        return [call for call in list(self.calls) if call.ended_ms is None]

    def flushes(self) -> set[str]:
        """The distinct Idempotency-Keys: one for each flush."""
        return {call.key for call in list(self.calls)}

    def _run(self, coroutine: Any) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        future.result(START_WITHIN_S)

    async def _open(self) -> None:
        app = web.Application(client_max_size=BODY_MAX)
        app.router.add_route("*", "/{path:.*}", self._receive)
        # A caller that is gone ends its call: so it is known which calls are under way at the same time.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=4096).start()
        self._watch = asyncio.create_task(self._watch_machine())

    async def _shut(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def _watch_machine(self) -> None:
        """Add up for how long this machine ran nothing: whoever is late by that much is not to blame."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK_S)
            late_s = time.monotonic() - before - TICK_S
            self.stalled_ms += late_s * 1000 if late_s > TICK_S else 0.0

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        arrived_ms = time.time() * 1000
        call = Call(arrived_ms, request.headers.copy(), await request.read(), request.path)
        self.calls.append(call)
        self._at_work += 1
        self.most_at_once = max(self.most_at_once, self._at_work)
        try:
            answer = self.answer_of(call) if self.answer_of else self._next_answer(call.peer if self._answers else "")
            if answer.held:
                await self._released.wait()
            await asyncio.sleep(answer.delay_s)
        finally:
            self._at_work -= 1
            call.ended_ms = time.time() * 1000
        if answer.cut and request.transport is not None:
            request.transport.abort()
        response = web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        if answer.content_type:
            response.headers["Content-Type"] = answer.content_type
        return response

    def _next_answer(self, peer: str) -> Answer:
        answers = self._answers.get(peer)
        if not answers:
            return self.default
        return answers.popleft() if len(answers) > 1 else answers[0]
