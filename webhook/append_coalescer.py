"""Sends the messages of one loop iteration's requests in shared append calls, and gives each request its results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from buffer.errors import StoreFull, StoreUnavailable
from buffer.models import Append, Appended
from buffer.retry import retry_unavailable
from buffer.rules import AppendRules
from buffer.store import Store
from buffer.transport.connection import ReplyReceiver
from webhook.tallies import AppendTimes

STORE_TIMEOUT_S = 1.7
"""Seconds that a request may wait for Redis. The response must leave within 2 s (docs/invariants.md#7)."""

TIMED_OUT = "Redis did not answer in time"

MESSAGES_WAITING_MAX = 10_000
"""Messages of one process that may wait for Redis. Further requests are refused at once."""

MESSAGES_PER_CALL = 32
"""Messages in one append call, so that one script does not block the server for long."""

SEND_EARLY_AFTER = 16
"""Requests after which a call is sent before the loop iteration ends: Redis works while the next requests are read."""

TIMEOUT_CHECK_EVERY_S = 0.1
"""Seconds between two checks for requests that waited too long. One timer for all costs less than one for each."""

ResultsReceiver = ReplyReceiver[list[Appended]]
"""Receives the results of a request's messages, or the error."""


class _Submission(NamedTuple):
    """The messages of one request, the receiver of their results, and their route's rules (None: the store's)."""

    messages: Sequence[Append]
    receiver: ResultsReceiver
    rules: AppendRules | None


class _AppendCall:
    """One append call: its submissions, and the loop time until which they may wait. It receives the reply."""

    __slots__ = ("_coalescer", "rules", "sent_s", "size", "submissions", "until_s")

    def __init__(self, coalescer: AppendCoalescer, submissions: list[_Submission], until_s: float) -> None:
        self._coalescer = coalescer
        self.submissions = submissions
        self.rules = submissions[0].rules
        self.size = sum([len(submission.messages) for submission in submissions])
        self.until_s = until_s
        self.sent_s = time.perf_counter()

    def messages(self) -> list[Append]:
        """Return the messages of all submissions, in order."""
        return [message for submission in self.submissions for message in submission.messages]

    def done(self) -> bool:
        """Return False: the reply ends the call, also if its submissions timed out before."""
        return False

    def set_result(self, results: list[Appended]) -> None:
        """Give each submission its results."""
        self._coalescer.forget(self)
        _distribute(self.submissions, results)

    def set_exception(self, error: Exception) -> None:
        """Fail all submissions if Redis is full. Send them again after any other error."""
        if isinstance(error, StoreFull):
            self._coalescer.forget(self)
            _fail_all(self.submissions, error)
        else:
            self._coalescer.retry_in_task(self)


T = TypeVar("T", _Submission, _AppendCall)


class AppendCoalescer:
    """A bounded queue in front of `Store.append`. A message that cannot be stored fails its own request only."""

    def __init__(self, store: Store, times: AppendTimes | None = None) -> None:
        self._store = store
        self._times = times or AppendTimes()
        self._unsent: list[_Submission] = []
        self._in_flight: list[_AppendCall] = []
        self._messages_waiting = 0
        self._retries: set[asyncio.Task[None]] = set()
        self._failed: list[_AppendCall] = []
        self._timeout_timer: asyncio.TimerHandle | None = None

    async def append(self, messages: Sequence[Append], rules: AppendRules | None = None) -> list[Appended]:
        """Append the messages of one request. Raises StoreUnavailable, StoreFull or StoreError within 2 s."""
        results: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self.submit(messages, results, rules)
        return await results

    def submit(self, messages: Sequence[Append], receiver: ResultsReceiver, rules: AppendRules | None = None) -> None:
        """Append the messages of one request without waiting. `receiver` gets the results, or the error, within 2 s.

        Raises StoreUnavailable if too many messages wait already.
        """
        if self._messages_waiting >= MESSAGES_WAITING_MAX:
            raise StoreUnavailable("too many messages are waiting for Redis; try again")
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send_all)
        self._unsent.append(_Submission(messages, receiver, rules))
        self._messages_waiting += len(messages)
        if len(self._unsent) >= SEND_EARLY_AFTER:
            self._send_all()

    def _send_all(self) -> None:
        """Send the submissions of this loop iteration that are not sent yet."""
        loop = asyncio.get_running_loop()
        if self._unsent and self._timeout_timer is None:
            self._timeout_timer = loop.call_later(TIMEOUT_CHECK_EVERY_S, self._check_timeouts)
        unsent, self._unsent = self._unsent, []
        for submissions in _split_into_calls(unsent, lambda submission: len(submission.messages)):
            call = _AppendCall(self, submissions, loop.time() + STORE_TIMEOUT_S)
            self._in_flight.append(call)
            self._send_or_retry(call)

    def _send_or_retry(self, call: _AppendCall) -> None:
        try:
            is_sent = self._store.send_append(call.messages(), call, call.rules)
        except Exception:  # one of the messages cannot be encoded: the retry finds it and fails its request only
            is_sent = False
        if not is_sent:
            self.retry_in_task(call)

    def retry_in_task(self, call: _AppendCall) -> None:
        """Send a call again in a task. Calls that fail together are sent together: a lost connection fails many."""
        if not self._failed:
            asyncio.get_running_loop().call_soon(self._start_retries)
        self._failed.append(call)

    def _start_retries(self) -> None:
        failed, self._failed = self._failed, []
        for calls in _split_into_calls(failed, lambda call: call.size):
            task = asyncio.get_running_loop().create_task(self._retry(calls))
            self._retries.add(task)
            task.add_done_callback(self._retries.discard)

    def forget(self, call: _AppendCall) -> None:
        """Remove a call that has its reply: its messages no longer count as waiting."""
        self._in_flight.remove(call)
        self._times.add(time.perf_counter() - call.sent_s, len(call.submissions))
        self._messages_waiting -= call.size

    def _check_timeouts(self) -> None:
        """Fail the requests that waited for STORE_TIMEOUT_S. Check again as long as calls are in flight."""
        loop = asyncio.get_running_loop()
        for call in self._in_flight:
            if call.until_s <= loop.time():
                _fail_all(call.submissions, StoreUnavailable(TIMED_OUT))
        self._timeout_timer = loop.call_later(TIMEOUT_CHECK_EVERY_S, self._check_timeouts) if self._in_flight else None

    async def _retry(self, calls: list[_AppendCall]) -> None:
        """Send several calls as one. The requests of each may still time out at their own time."""
        submissions = [submission for call in calls for submission in call.submissions]
        try:
            await self._append_together(submissions, calls[0].until_s)
        finally:
            for call in calls:
                self.forget(call)

    async def _append_together(self, submissions: list[_Submission], until_s: float) -> None:
        messages = [message for submission in submissions for message in submission.messages]
        left_s = until_s - asyncio.get_running_loop().time()
        try:
            results = await retry_unavailable(lambda: self._store.append(messages, submissions[0].rules), left_s)
        except (StoreUnavailable, StoreFull) as error:
            _fail_all(submissions, error)
        except Exception as error:
            await self._append_singly(submissions, until_s, error)
        else:
            _distribute(submissions, results)

    async def _append_singly(self, submissions: list[_Submission], until_s: float, error: Exception) -> None:
        """Append each submission alone after one of them failed the call. Messages already stored are recognised."""
        if len(submissions) == 1:
            _fail_all(submissions, error)
            return
        for submission in submissions:
            await self._append_together([submission], until_s)


def _split_into_calls(items: list[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield the items in order, in lists of at most MESSAGES_PER_CALL messages. A larger item is alone in its list.

    Items with different rules never share a list: those with the same come together.
    """
    rules = items[0].rules if items else None
    if any([item.rules is not rules for item in items]):
        for group in _by_rules(items):
            yield from _split_into_calls(group, size_of)
        return
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


def _by_rules(items: list[T]) -> list[list[T]]:
    groups: dict[int, list[T]] = {}
    for item in items:
        groups.setdefault(id(item.rules), []).append(item)
    return list(groups.values())


def _distribute(submissions: list[_Submission], results: list[Appended]) -> None:
    start = 0
    for messages, receiver, _ in submissions:
        end = start + len(messages)
        if not receiver.done():
            receiver.set_result(results[start:end])
        start = end


def _fail_all(submissions: list[_Submission], error: Exception) -> None:
    for submission in submissions:
        if not submission.receiver.done():
            submission.receiver.set_exception(error)
