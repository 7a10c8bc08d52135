"""coalescer: calls of one loop iteration become one script call, and one that fails does not fail the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from buffer.errors import StoreError, StoreFull, StoreUnavailable
from buffer.transport.coalescer import CONVERSATIONS_PER_CALL, CallCoalescer


class Server:
    """Replies to each conversation with its own argument, after some loop iterations, and fails for `poison`."""

    def __init__(self, turns: int = 1, poison: str | None = None, error: type[StoreError] = StoreError) -> None:
        self.turns = turns
        self.poison = poison
        self.error = error
        self.sent: list[tuple[str, int, int]] = []

    def coalescer(self, verb: str) -> CallCoalescer[str, Any]:
        return CallCoalescer(verb, partial(self.run, verb))

    async def run(self, verb: str, partition: int, items: list[str]) -> Sequence[Any]:
        self.sent.append((verb, partition, len(items)))
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.poison in items:
            raise self.error("refused")
        return [(verb, partition, item) for item in items]


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_every_call_is_answered(turns: int):
    """No call falls between a sender that found nothing more and the start of the next."""
    acks = Server(turns).coalescer("ack")

    async def client(number: int) -> None:
        for step in range(50):
            name = f"{number}-{step}"
            assert await acks.call(number % 3, name) == ("ack", number % 3, name)

    async with asyncio.timeout(20):
        await asyncio.gather(*(client(number) for number in range(40)))


async def test_a_call_is_one_verb_of_one_partition():
    """The calls of one loop iteration share a script call, one for each script and partition."""
    server = Server()
    coalescers = [server.coalescer(verb) for verb in ("ack", "claim")]
    await asyncio.gather(*(coalescer.call(number % 2, f"{number}") for number in range(20) for coalescer in coalescers))
    assert sorted(server.sent) == [("ack", 0, 10), ("ack", 1, 10), ("claim", 0, 10), ("claim", 1, 10)]


async def test_calls_are_bounded():
    """A thousand calls at once do not hold the server in one script."""
    server = Server()
    acks = server.coalescer("ack")
    await asyncio.gather(*(acks.call(0, f"{number}") for number in range(1000)))
    assert max(size for _, _, size in server.sent) == CONVERSATIONS_PER_CALL


async def test_one_that_fails_does_not_fail_its_neighbours():
    """A call that failed is repeated one by one; only the conversation that caused the error gets it."""
    claims = Server(poison="bad").coalescer("claim")
    found = await asyncio.gather(*(claims.call(0, name) for name in ("a", "bad", "b")), return_exceptions=True)
    assert isinstance(found[1], StoreError)
    assert [found[0], found[2]] == [("claim", 0, "a"), ("claim", 0, "b")]


@pytest.mark.parametrize("error", [StoreUnavailable, StoreFull])
async def test_a_server_that_is_away_is_not_asked_once_for_each(error: type[StoreError]):
    """All callers of the call get the error at once; they retry by themselves."""
    server = Server(poison="a", error=error)
    acks = server.coalescer("ack")
    found = await asyncio.gather(*(acks.call(0, name) for name in ("a", "b", "c")), return_exceptions=True)
    assert [type(one) for one in found] == [error] * 3
    assert len(server.sent) == 1


async def test_a_caller_that_gave_up():
    """A cancelled caller disturbs no other, before its call is sent or after."""
    acks = Server(turns=3).coalescer("ack")
    calls = [asyncio.ensure_future(acks.call(0, f"{number}")) for number in range(5)]
    await asyncio.sleep(0)
    calls[1].cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    calls[3].cancel()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one).__name__ for one in found] == ["tuple", "CancelledError", "tuple", "CancelledError", "tuple"]


async def test_what_was_not_answered_is_asked_again():
    """A script may reply to the first conversations of a call only; one that replies to none is broken."""
    asked: list[list[Any]] = []

    async def run(partition: int, items: list[str]) -> Sequence[Any]:
        asked.append(items)
        return [] if items[0] == "none" else items[:2]

    claims = CallCoalescer("claim", run)
    names = [str(number) for number in range(5)]
    assert await asyncio.gather(*(claims.call(0, name) for name in names)) == names
    assert asked == [names, names[2:], names[4:]]
    with pytest.raises(StoreError, match="claim"):
        await claims.call(0, "none")
