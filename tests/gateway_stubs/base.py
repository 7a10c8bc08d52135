"""A gateway on loopback that checks what it is sent, keeps a journal, and fails as the test tells it.

A subclass declares its `ROUTES` and writes one function for each: it checks a request and returns a `Reply` or, for a
message, a `Delivery`. What is wrong with a request is a sentence in `violations`, and the gateway answers 400.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from aiohttp import web

from tests.gateway_stubs.faults import Fault as Fault
from tests.gateway_stubs.faults import Received as Received
from tests.gateway_stubs.faults import Reply as Reply
from tests.gateway_stubs.faults import read, response_of, spoilt, undone

START_WITHIN_S = 30.0
BODY_MAX = 16 * 1024 * 1024

Routes = dict[tuple[str, str], str]
"""The method and the pattern of the path of each route, and the name of the function for it."""

Types = Mapping[str, type]
"""Fields of a JSON object, and the type of each."""


class Wrong(Exception):
    """The request breaks the contract of the gateway. The message says how."""


@dataclass(frozen=True)
class Delivery:
    """A message that the gateway takes: its journal entry, the response, and the webhook bodies that tell of it."""

    conversation: str
    text: str
    message_id: str
    reply: Reply
    own_id: str | None = None
    echoes: tuple[Any, ...] = ()
    kind: str = "text"


@dataclass(frozen=True)
class JournalEntry:
    """A message that the person got. `number` counts the messages asked for, from 1; `at_s` is monotonic."""

    at_s: float
    number: int
    conversation: str
    own_id: str | None
    text: str
    message_id: str
    kind: str


Handler = Callable[[Received], "Reply | Delivery"]


class GatewayStub:
    """An HTTP server in a thread of its own. `faults[n]` is what happens to the nth message, `fault_of` to any."""

    ROUTES: ClassVar[Routes] = {}

    TEXT_MAX: ClassVar[int] = 4096
    ECHO_FIRST: ClassVar[bool] = False
    """Whether the echo comes before the response when nothing fails."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.journal: list[JournalEntry] = []
        self.requests: list[Received] = []
        self.echoes: list[Any] = []
        self.faults: dict[int, Fault] = {}
        self.fault_of: Callable[[int], Fault | None] = lambda number: self.faults.get(number)
        self.echo_to: Callable[[Any], None] | None = None
        self.echoes_on = True
        self.most_per_second: int | None = None
        self._own_ids: set[str] = set()
        self._busy: set[str] = set()
        self._messages = 0
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> GatewayStub:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Return the base address, without a slash at its end."""
        return f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Begin to listen, again on the same port after `shut`."""
        self._run(self._open())

    def shut(self) -> None:
        """Close the port and every connection: requests are refused from now on."""
        self._run(self._shut())

    def close(self) -> None:
        """End for good."""
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def text_size(self, text: str) -> int:
        """Return the size of a text in the units of TEXT_MAX."""
        return len(text)

    def texts(self, conversation: str) -> list[str]:
        """Return what one person got, in order."""
        return [entry.text for entry in list(self.journal) if entry.conversation == conversation]

    def _run(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_WITHIN_S)

    async def _open(self) -> None:
        app = web.Application(client_max_size=BODY_MAX)
        app.router.add_route("*", "/{path:.*}", self._receive)
        # a caller that is gone ends its request, so it is known which requests are under way
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=4096)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _shut(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def _receive(self, asked: web.Request) -> web.StreamResponse:
        received = await read(asked)
        self.requests.append(received)
        try:
            answer = self._handle(received)
        except Wrong as wrong:
            self.violations.append(f"{received.method} {received.path}: {wrong}")
            return response_of(Reply(400, {"error": f"contract broken: {wrong}"}))
        return response_of(answer) if isinstance(answer, Reply) else await self._deliver(asked, answer)

    def _handle(self, received: Received) -> Reply | Delivery:
        for (method, pattern), name in self.ROUTES.items():
            if found := re.fullmatch(pattern, received.path):
                if method != received.method:
                    raise Wrong(f"the method must be {method}")
                handler: Handler = getattr(self, name)
                return handler(Received(**{**vars(received), "found": found.groups()}))
        raise Wrong("no such path")

    async def _deliver(self, asked: web.Request, delivery: Delivery) -> web.StreamResponse:
        self._messages += 1
        fault = self.fault_of(self._messages)
        if delivery.conversation in self._busy:
            self.violations.append(f"a second message to {delivery.conversation} while the first is unanswered")
        self._busy.add(delivery.conversation)
        try:
            if fault and fault.kind in ("close", "status", "redirect"):
                return undone(asked, fault)
            return await self._deliver_now(asked, delivery, fault, self._messages)
        finally:
            self._busy.discard(delivery.conversation)

    async def _deliver_now(
        self, asked: web.Request, delivery: Delivery, fault: Fault | None, number: int
    ) -> web.StreamResponse:
        self._enter(delivery, number)
        kind = fault.kind if fault else None
        if self.ECHO_FIRST or kind in ("echo_first", "echo_only", "echo_twice"):
            await self._echo(delivery, 2 if kind == "echo_twice" else 1)
        if fault and fault.after_s:
            await asyncio.sleep(fault.after_s)
        if fault and kind in ("lost", "echo_only", "half", "html", "garbage", "endless"):
            response = await spoilt(asked, delivery.reply, fault)
        else:
            response = response_of(delivery.reply)
        if not (self.ECHO_FIRST or kind in ("echo_first", "echo_only", "echo_twice")):
            self._loop.call_soon(lambda: asyncio.ensure_future(self._echo(delivery, 1)))
        return response

    def _enter(self, delivery: Delivery, number: int) -> None:
        """Write a message into the journal. The person gets it, whatever becomes of the response."""
        now_s = time.monotonic()
        size = self.text_size(delivery.text)
        if (not delivery.text and delivery.kind == "text") or size > self.TEXT_MAX:
            self.violations.append(f"a text of size {size}: 1 to {self.TEXT_MAX} are allowed")
        if delivery.own_id is not None and delivery.own_id in self._own_ids:
            self.violations.append(f"our own id {delivery.own_id} came twice")
        if self.most_per_second is not None:
            recent = [entry for entry in self.journal if entry.at_s > now_s - 1]
            if len(recent) >= self.most_per_second:
                self.violations.append(f"more than {self.most_per_second} messages in one second")
        if delivery.own_id is not None:
            self._own_ids.add(delivery.own_id)
        self.journal.append(
            JournalEntry(
                now_s,
                number,
                delivery.conversation,
                delivery.own_id,
                delivery.text,
                delivery.message_id,
                delivery.kind,
            )
        )

    async def _echo(self, delivery: Delivery, times: int) -> None:
        if not self.echoes_on:
            return
        for body in delivery.echoes * times:
            self.echoes.append(body)
            if self.echo_to is not None:
                await asyncio.to_thread(self.echo_to, body)


def fields_of(received: Received, required: Types, optional: Types | None = None) -> dict[str, Any]:
    """Return the JSON object of a request. Raises Wrong for a missing or unknown field and for a wrong type."""
    if received.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Wrong("the content-type must be application/json")
    if not isinstance(received.json, dict):
        raise Wrong("the body must be a JSON object")
    known = {**required, **(optional or {})}
    for name in required:
        if name not in received.json:
            raise Wrong(f"the field `{name}` is missing")
    for name, value in received.json.items():
        if name not in known:
            raise Wrong(f"the field `{name}` is not known here")
        if type(value) is not known[name]:
            raise Wrong(f"the field `{name}` must be of type {known[name].__name__}, not {type(value).__name__}")
    return received.json
