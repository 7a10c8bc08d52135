"""lots: calls of one loop turn become one script call, and nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from buffer.errors import StoreError, StoreFull, StoreUnavailable
from buffer.transport.coalescer import CONVERSATIONS_PER_CALL, CallCoalescer


class Server:
    """Answers each conversation with its own argument, after some turns, and fails as it is told."""

    def __init__(self, turns: int = 1, poison: str | None = None, error: type[StoreError] = StoreError) -> None:
        self.turns = turns
        self.poison = poison
        self.error = error
        self.sent: list[tuple[str, int, int]] = []

    async def run(self, verb: str, partition: int, args: list[Any]) -> Sequence[Any]:
        self.sent.append((verb, partition, len(args)))
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.poison in args:
            raise self.error("refused")
        return [(verb, partition, arg) for arg in args]


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_every_call_is_answered(turns: int):
    """No call falls between a sender that found nothing more and the start of the next."""
    lots = CallCoalescer(Server(turns).run)

    async def client(number: int) -> None:
        for step in range(50):
            name = f"{number}-{step}"
            assert await lots.call("ack", number % 3, name) == ("ack", number % 3, name)

    async with asyncio.timeout(20):
        await asyncio.gather(*(client(number) for number in range(40)))


async def test_a_lot_is_one_verb_of_one_partition():
    """What is called in one turn goes together, as far as one script and one slot go."""
    server = Server()
    lots = CallCoalescer(server.run)
    await asyncio.gather(
        *(lots.call(verb, number % 2, f"{number}") for number in range(20) for verb in ("ack", "claim"))
    )
    assert sorted(server.sent) == [("ack", 0, 10), ("ack", 1, 10), ("claim", 0, 10), ("claim", 1, 10)]


async def test_lots_are_bounded():
    """A thousand calls at once do not hold the server in one script."""
    server = Server()
    lots = CallCoalescer(server.run)
    await asyncio.gather(*(lots.call("ack", 0, f"{number}") for number in range(1000)))
    assert max(size for _, _, size in server.sent) == CONVERSATIONS_PER_CALL


async def test_one_that_fails_does_not_fail_its_neighbours():
    """A lot that was refused is sent again one by one; only the conversation that spoils it hears of it."""
    lots = CallCoalescer(Server(poison="bad").run)
    found = await asyncio.gather(*(lots.call("claim", 0, name) for name in ("a", "bad", "b")), return_exceptions=True)
    assert isinstance(found[1], StoreError)
    assert [found[0], found[2]] == [("claim", 0, "a"), ("claim", 0, "b")]


@pytest.mark.parametrize("error", [StoreUnavailable, StoreFull])
async def test_a_server_that_is_away_is_not_asked_once_for_each(error: type[StoreError]):
    """All callers of the lot hear it at once; they know how to repeat."""
    server = Server(poison="a", error=error)
    lots = CallCoalescer(server.run)
    found = await asyncio.gather(*(lots.call("ack", 0, name) for name in ("a", "b", "c")), return_exceptions=True)
    assert [type(one) for one in found] == [error] * 3
    assert len(server.sent) == 1


async def test_a_caller_that_gave_up():
    """A cancelled caller disturbs nobody, before its lot leaves or after."""
    lots = CallCoalescer(Server(turns=3).run)
    calls = [asyncio.ensure_future(lots.call("ack", 0, f"{number}")) for number in range(5)]
    await asyncio.sleep(0)
    calls[1].cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    calls[3].cancel()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one).__name__ for one in found] == ["tuple", "CancelledError", "tuple", "CancelledError", "tuple"]


async def test_what_was_not_answered_is_asked_again():
    """A script may answer the first of a lot only; one that answers none is broken."""
    asked: list[list[Any]] = []

    async def run(verb: str, partition: int, args: list[Any]) -> Sequence[Any]:
        asked.append(args)
        return [] if args[0] == "none" else args[:2]

    lots = CallCoalescer(run)
    names = [str(number) for number in range(5)]
    assert await asyncio.gather(*(lots.call("claim", 0, name) for name in names)) == names
    assert asked == [names, names[2:], names[4:]]
    with pytest.raises(StoreError, match="claim"):
        await lots.call("claim", 0, "none")
