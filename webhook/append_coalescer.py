"""Gathers the messages of the requests of one loop turn into one append call, and fans the results back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from buffer.errors import StoreFull, StoreUnavailable
from buffer.models import Append, Appended
from buffer.retry import retry_unavailable
from buffer.store import Store
from buffer.transport.connection import ReplyReceiver

ANSWER_WITHIN_S = 1.7
"""A gateway hears 503 within 2 s (design: accepted means stored); the rest is for reading and answering."""

WAITING_MAX = 10_000
"""Messages waiting for Redis in one process; past it the gateway is told to come back."""

MESSAGES_PER_CALL = 32
"""Messages in one append call, so that one script does not hold the server for long."""

SEND_EARLY_AFTER = 16
"""Requests that need not wait for the end of their loop turn: Redis works on them while the next are being read."""

TIMEOUT_CHECK_EVERY_S = 0.1
"""How often requests that have waited too long are looked for: one timer for all costs less than one each."""

T = TypeVar("T")

ResultsReceiver = ReplyReceiver[list[Appended]]
"""Who hears what became of the messages of a request."""


class _Request(NamedTuple):
    """The messages of one request, and who hears of them."""

    messages: Sequence[Append]
    results: ResultsReceiver


class _AppendCall:
    """The requests that share a call, and until when (loop time) they may wait for it; it hears the call's reply."""

    __slots__ = ("_collector", "requests", "size", "until_s")

    def __init__(self, collector: AppendCoalescer, requests: list[_Request], until_s: float) -> None:
        self._collector = collector
        self.requests = requests
        self.size = sum([len(request.messages) for request in requests])
        self.until_s = until_s

    def messages(self) -> list[Append]:
        """Of all requests, in order."""
        return [message for request in self.requests for message in request.messages]

    def done(self) -> bool:
        """It wants to hear the reply, also when its requests were refused meanwhile: then it is over."""
        return False

    def set_result(self, results: list[Appended]) -> None:
        """The messages are in Redis."""
        self._collector.end(self)
        _answer(self.requests, results)

    def set_exception(self, error: Exception) -> None:
        """They are not; a full server stays full, whatever else it was shows when the same is sent again."""
        if isinstance(error, StoreFull):
            self._collector.end(self)
            _refuse(self.requests, error)
        else:
            self._collector.retry_in_task(self)


class AppendCoalescer:
    """In front of the store: bounded, and one failing message does not fail its neighbours."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._arrived: list[_Request] = []
        self._under_way: list[_AppendCall] = []
        self._depth = 0
        self._senders: set[asyncio.Task[None]] = set()
        self._failed: list[_AppendCall] = []
        self._looking = False

    async def append(self, messages: Sequence[Append]) -> list[Appended]:
        """Store the messages of one request; raises StoreUnavailable, StoreFull or StoreError within 2 s."""
        results: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self.submit(messages, results)
        return await results

    def submit(self, messages: Sequence[Append], results: ResultsReceiver) -> None:
        """The same without waiting; raises StoreUnavailable at once when too many wait already."""
        if self._depth >= WAITING_MAX:
            raise StoreUnavailable("too many messages are waiting for Redis; try again")
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._send_all)
        self._arrived.append(_Request(messages, results))
        self._depth += len(messages)
        if len(self._arrived) >= SEND_EARLY_AFTER:
            self._send_all()

    def _send_all(self) -> None:
        """What has arrived in this turn of the loop and was not sent yet."""
        loop = asyncio.get_running_loop()
        if self._arrived and not self._looking:
            self._looking = True
            loop.call_later(TIMEOUT_CHECK_EVERY_S, self._refuse_late)
        arrived, self._arrived = self._arrived, []
        for requests in _in_calls(arrived, lambda request: len(request.messages)):
            group = _AppendCall(self, requests, loop.time() + ANSWER_WITHIN_S)
            self._under_way.append(group)
            self._send_at_once(group)

    def _send_at_once(self, group: _AppendCall) -> None:
        try:
            is_sent = self._store.send_append(group.messages(), group)
        except Exception:  # a message that cannot be sent; which one, shows there
            is_sent = False
        if not is_sent:
            self.retry_in_task(group)

    def retry_in_task(self, group: _AppendCall) -> None:
        """In a task, which has time for whatever may be wrong; when a connection is lost, many groups fail together."""
        if not self._failed:
            asyncio.get_running_loop().call_soon(self._send_failed)
        self._failed.append(group)

    def _send_failed(self) -> None:
        failed, self._failed = self._failed, []
        for groups in _in_calls(failed, lambda group: group.size):
            sender = asyncio.get_running_loop().create_task(self._send_groups(groups))
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)

    def end(self, group: _AppendCall) -> None:
        """Nobody of this group waits any more."""
        self._under_way.remove(group)
        self._depth -= group.size

    def _refuse_late(self) -> None:
        """One timer for all, as long as any are under way."""
        loop = asyncio.get_running_loop()
        for group in self._under_way:
            if group.until_s <= loop.time():
                _refuse(group.requests, StoreUnavailable("Redis did not answer in time"))
        self._looking = bool(self._under_way)
        if self._looking:
            loop.call_later(TIMEOUT_CHECK_EVERY_S, self._refuse_late)

    async def _send_groups(self, groups: list[_AppendCall]) -> None:
        """In one call; each group may still be refused at its own time."""
        requests = [request for group in groups for request in group.requests]
        try:
            await self._send(requests, groups[0].until_s)
        finally:
            for group in groups:
                self.end(group)

    async def _send(self, requests: list[_Request], until_s: float) -> None:
        messages = [message for request in requests for message in request.messages]
        left_s = until_s - asyncio.get_running_loop().time()
        try:
            results = await retry_unavailable(lambda: self._store.append(messages), left_s)
        except (StoreUnavailable, StoreFull) as error:
            _refuse(requests, error)
        except Exception as error:
            await self._send_singly(requests, until_s, error)
        else:
            _answer(requests, results)

    async def _send_singly(self, requests: list[_Request], until_s: float, error: Exception) -> None:
        """One request spoilt the call; resending is safe, what was stored answers as the first time."""
        if len(requests) == 1:
            _refuse(requests, error)
            return
        for request in requests:
            await self._send([request], until_s)


def _in_calls(items: list[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Requests or groups in order, in lists of no more messages than a call may have, or of a single one."""
    call: list[T] = []
    size = 0
    for item in items:
        if call and size + size_of(item) > MESSAGES_PER_CALL:
            yield call
            call, size = [], 0
        call.append(item)
        size += size_of(item)
    if call:
        yield call


def _answer(requests: list[_Request], results: list[Appended]) -> None:
    start = 0
    for messages, waiting in requests:
        end = start + len(messages)
        if not waiting.done():
            waiting.set_result(results[start:end])
        start = end


def _refuse(requests: list[_Request], error: Exception) -> None:
    for request in requests:
        if not request.results.done():
            request.results.set_exception(error)
