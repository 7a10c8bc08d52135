"""Gathers the calls of one loop turn to one script into one call per partition, and fans its replies back."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from buffer.errors import StoreError, StoreFull, StoreUnavailable

CONVERSATIONS_PER_CALL = 20
"""Conversations in one script call, so that it holds the server for a millisecond or two (50: 20 % fewer flushes/s)."""

CALLS_IN_FLIGHT = 2
"""Calls of one script under way at once: one is being answered while the next gathers."""

Run = Callable[[str, int, list[Any]], Awaitable[Sequence[Any]]]
"""Runs a script on a partition with what its conversations need, one after the other.

One reply for each, or for the first of them, when more would be too large: the others are asked for again.
"""


class _Item(NamedTuple):
    args: tuple[Any, ...]
    reply: asyncio.Future[Any]


@dataclass(slots=True)
class _Waiting:
    waiting: list[_Item] = field(default_factory=list)
    sending: int = 0


class CallCoalescer:
    """In front of the scripts that take many conversations; one that fails does not fail its neighbours."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lots: defaultdict[tuple[str, int], _Waiting] = defaultdict(_Waiting)
        self._senders: set[asyncio.Task[None]] = set()

    async def call(self, verb: str, partition: int, *args: Any) -> Any:
        """Run a script for one conversation; raises StoreUnavailable, StoreFull or StoreError."""
        lot = self._lots[verb, partition]
        item = _Item(args, asyncio.get_running_loop().create_future())
        lot.waiting.append(item)
        if lot.sending < CALLS_IN_FLIGHT:
            lot.sending += 1
            sender = asyncio.create_task(self._send_all(verb, partition, lot))
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await item.reply

    async def _send_all(self, verb: str, partition: int, lot: _Waiting) -> None:
        """The count goes down in the same step that finds nothing waiting: no call falls between the two."""
        try:
            while lot.waiting:
                items, lot.waiting = lot.waiting[:CONVERSATIONS_PER_CALL], lot.waiting[CONVERSATIONS_PER_CALL:]
                await self._send(verb, partition, items)
        finally:
            lot.sending -= 1

    async def _send(self, verb: str, partition: int, items: list[_Item]) -> None:
        try:
            replies = await self._run(verb, partition, [arg for item in items for arg in item.args])
            if not replies:
                raise StoreError(f"Redis answered {verb} with nothing")
        except (StoreUnavailable, StoreFull) as error:
            _refuse(items, error)
        except StoreError as error:
            await self._send_singly(verb, partition, items, error)
        else:
            _answer(items, replies)
            if left := items[len(replies) :]:
                await self._send(verb, partition, left)

    async def _send_singly(self, verb: str, partition: int, items: list[_Item], error: StoreError) -> None:
        """One conversation spoilt the call; what was done for the others answers as the first time."""
        if len(items) == 1:
            _refuse(items, error)
            return
        for item in items:
            await self._send(verb, partition, [item])


def _answer(items: list[_Item], replies: Sequence[Any]) -> None:
    for item, reply in zip(items, replies, strict=False):
        if not item.reply.done():
            item.reply.set_result(reply)


def _refuse(items: list[_Item], error: StoreError) -> None:
    for item in items:
        if not item.reply.done():
            item.reply.set_exception(error)
