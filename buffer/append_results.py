"""Results of append: decoded for a receiver, and put into the order of the messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from buffer.errors import store_error
from buffer.models import Appended
from buffer.script_calls import read_append
from buffer.transport.connection import ReplyReceiver


class AppendReplyDecoder:
    """Receives the reply to an append call, and passes the decoded results on."""

    __slots__ = ("_results",)

    def __init__(self, results: ReplyReceiver[list[Appended]]) -> None:
        self._results = results

    def done(self) -> bool:
        """Return True if the results are no longer awaited."""
        return self._results.done()

    def set_result(self, reply: Sequence[Any]) -> None:
        """Pass the results on."""
        self._results.set_result(read_append(reply))

    def set_exception(self, error: Exception) -> None:
        """Pass the error on as a StoreError. The messages may be stored all the same."""
        self._results.set_exception(store_error(error))


def in_message_order(groups: Iterable[list[int]], results: Iterable[list[Appended]]) -> list[Appended]:
    """Merge the results of several calls. `groups` holds the indexes of the messages of each call."""
    by_index = dict(zip(chain.from_iterable(groups), chain.from_iterable(results), strict=True))
    return [by_index[index] for index in range(len(by_index))]
