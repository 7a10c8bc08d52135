"""Gathers the messages of the requests of one loop turn into one append call, and fans the results back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Protocol

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


class _Waiting:
    """The messages of one request."""

    __slots__ = ("messages", "results", "until")

    def __init__(self, messages: Sequence[Append], results: Results, until: float) -> None:
        self.messages = messages
        self.results = results
        self.until = until


class Collector:
    """In front of the store: bounded, and one failing message does not fail its neighbours."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._under_way: list[list[_Waiting]] = []
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
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._send_all)
        self._waiting.append(_Waiting(messages, results, loop.time() + ANSWER_WITHIN_S))
        self._depth += len(messages)
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_S, self._refuse_late)

    def _refuse_late(self) -> None:
        """Requests wait in order of arrival, so the first that is not late ends the search in each group."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for group in self._under_way:
            late = itertools.takewhile(lambda waiting: waiting.until <= now, group)
            _refuse(late, StoreUnavailable("Redis did not answer in time"))
        self._looking = bool(self._under_way)
        if self._looking:
            loop.call_later(LOOK_S, self._refuse_late)

    def _send_all(self) -> None:
        """All that arrived in one turn of the loop."""
        while self._waiting:
            sender = asyncio.create_task(self._send_group(self._take()))
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)

    def _take(self) -> list[_Waiting]:
        size = taken = 0
        while taken < len(self._waiting) and (taken == 0 or size + len(self._waiting[taken].messages) <= CALL_MAX):
            size += len(self._waiting[taken].messages)
            taken += 1
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return group

    async def _send_group(self, group: list[_Waiting]) -> None:
        self._under_way.append(group)
        try:
            await self._send(group)
        finally:
            self._under_way.remove(group)
            self._depth -= sum([len(waiting.messages) for waiting in group])

    async def _send(self, group: list[_Waiting]) -> None:
        messages = [message for waiting in group for message in waiting.messages]
        try:
            results = await resent(lambda: self._store.append(messages), ANSWER_WITHIN_S)
        except (StoreUnavailable, StoreFull) as error:
            _refuse(group, error)
        except StoreError as error:
            await self._send_singly(group, error)
        else:
            _answer(group, results)

    async def _send_singly(self, group: list[_Waiting], error: StoreError) -> None:
        """One request spoilt the call; resending is safe, what was stored answers as the first time."""
        if len(group) == 1:
            _refuse(group, error)
            return
        for waiting in group:
            await self._send([waiting])


def _answer(group: list[_Waiting], results: list[Appended]) -> None:
    start = 0
    for waiting in group:
        end = start + len(waiting.messages)
        if not waiting.results.done():
            waiting.results.set_result(results[start:end])
        start = end


def _refuse(group: Iterable[_Waiting], error: StoreError) -> None:
    for waiting in group:
        if not waiting.results.done():
            waiting.results.set_exception(error)
