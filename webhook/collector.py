"""Gathers the messages of the requests of one loop turn into one append call, and fans the results back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from buffer.errors import StoreError, StoreFull, StoreUnavailable
from buffer.models import Append, Appended
from buffer.store import Store, resent

ANSWER_WITHIN_S = 1.7
"""A gateway hears 503 within 2 s (design: accepted means stored); the rest is for reading and answering."""

WAITING_MAX = 10_000
"""Messages waiting for Redis in one process; past it the gateway is told to come back."""

CALL_MAX = 32
"""Messages in one append call, so that one script does not hold the server for long."""

LOOK_S = 0.1
"""How often requests that have waited too long are looked for: one timer for all costs less than one each."""


class Results(Protocol):
    """Who hears what became of the messages of a request, once: a future, or whoever does without one."""

    def done(self) -> bool:
        """Whether it has heard."""

    def set_result(self, results: list[Appended], /) -> None:
        """The messages are in Redis."""

    def set_exception(self, error: StoreError, /) -> None:
        """They are not."""


class _Request(NamedTuple):
    """The messages of one request, and who hears of them."""

    messages: Sequence[Append]
    results: Results


@dataclass(slots=True)
class _Group:
    """The requests that share a call, and until when (loop time) they may wait for it."""

    requests: list[_Request]
    until_s: float


class Collector:
    """In front of the store: bounded, and one failing message does not fail its neighbours."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._arrived: list[_Request] = []
        self._under_way: list[_Group] = []
        self._depth = 0
        self._senders: set[asyncio.Task[None]] = set()
        self._looking = False

    async def append(self, messages: Sequence[Append]) -> list[Appended]:
        """Store the messages of one request; raises StoreUnavailable, StoreFull or StoreError within 2 s."""
        results: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self.submit(messages, results)
        return await results

    def submit(self, messages: Sequence[Append], results: Results) -> None:
        """The same without waiting; raises StoreUnavailable at once when too many wait already."""
        if self._depth >= WAITING_MAX:
            raise StoreUnavailable("too many messages are waiting for Redis; try again")
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._send_all)
        self._arrived.append(_Request(messages, results))
        self._depth += len(messages)

    def _send_all(self) -> None:
        """What has arrived in this turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_S, self._refuse_late)
        arrived, self._arrived = self._arrived, []
        for requests in _in_calls(arrived):
            group = _Group(requests, loop.time() + ANSWER_WITHIN_S)
            self._under_way.append(group)
            sender = loop.create_task(self._send_group(group))
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)

    def _refuse_late(self) -> None:
        """One timer for all, as long as any are under way."""
        loop = asyncio.get_running_loop()
        for group in self._under_way:
            if group.until_s <= loop.time():
                _refuse(group.requests, StoreUnavailable("Redis did not answer in time"))
        self._looking = bool(self._under_way)
        if self._looking:
            loop.call_later(LOOK_S, self._refuse_late)

    async def _send_group(self, group: _Group) -> None:
        try:
            await self._send(group.requests)
        finally:
            self._under_way.remove(group)
            self._depth -= sum([len(request.messages) for request in group.requests])

    async def _send(self, requests: list[_Request]) -> None:
        messages = [message for request in requests for message in request.messages]
        try:
            results = await resent(lambda: self._store.append(messages), ANSWER_WITHIN_S)
        except (StoreUnavailable, StoreFull) as error:
            _refuse(requests, error)
        except StoreError as error:
            await self._send_singly(requests, error)
        else:
            _answer(requests, results)

    async def _send_singly(self, requests: list[_Request], error: StoreError) -> None:
        """One request spoilt the call; resending is safe, what was stored answers as the first time."""
        if len(requests) == 1:
            _refuse(requests, error)
            return
        for request in requests:
            await self._send([request])


def _in_calls(requests: list[_Request]) -> Iterator[list[_Request]]:
    """Requests in order, in lists of no more messages than a call may have, or one request."""
    call: list[_Request] = []
    size = 0
    for request in requests:
        if call and size + len(request.messages) > CALL_MAX:
            yield call
            call, size = [], 0
        call.append(request)
        size += len(request.messages)
    yield call


def _answer(requests: list[_Request], results: list[Appended]) -> None:
    start = 0
    for messages, waiting in requests:
        end = start + len(messages)
        if not waiting.done():
            waiting.set_result(results[start:end])
        start = end


def _refuse(requests: list[_Request], error: StoreError) -> None:
    for request in requests:
        if not request.results.done():
            request.results.set_exception(error)
