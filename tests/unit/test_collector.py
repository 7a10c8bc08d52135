"""The collector in front of the store: nothing waits for ever, nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from buffer.errors import StoreError, StoreUnavailable
from buffer.models import Append, Appended, Conversation
from webhook import collector as module
from webhook.collector import Collector


def message(name: str) -> Append:
    return Append(Conversation("generic", "loja", name), name.encode().ljust(8), b"nnnn", b"{}")


def collector_of(store: Any) -> Collector:
    """A collector in front of one of the stores below."""
    return Collector(store)


class Answering:
    """A store that answers in the same loop turn, or after some, and refuses one conversation."""

    def __init__(self, turns: int = 0, refused: str | None = None) -> None:
        self.turns = turns
        self.refused = refused
        self.sizes: list[int] = []

    async def append(self, messages: Sequence[Append]) -> list[Appended]:
        self.sizes.append(len(messages))
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if any(one.conversation.peer == self.refused for one in messages):
            raise StoreError("WRONGTYPE")
        return [Appended("new", 1, 1) for _ in messages]


class Silent:
    """A store that never answers."""

    async def append(self, messages: Sequence[Append]) -> list[Appended]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_every_request_is_answered(turns: int):
    """No request falls between a sender that found nothing more and the start of the next."""
    collector = collector_of(Answering(turns))

    async def client(number: int) -> int:
        for step in range(50):
            await collector.append([message(f"{number}-{step}")])
        return 50

    async with asyncio.timeout(20):
        assert sum(await asyncio.gather(*(client(number) for number in range(40)))) == 2000


async def test_requests_of_one_turn_share_a_call():
    """What arrives together goes to Redis together."""
    store = Answering(turns=5)
    collector = collector_of(store)
    await asyncio.gather(*(collector.append([message(str(number))]) for number in range(100)))
    assert store.sizes[0] == min(100, module.CALL_MAX)


async def test_results_go_to_their_requests():
    """Each request gets as many results as it had messages, in order."""
    collector = collector_of(Answering(turns=2))
    sizes = [1, 3, 2, 5]
    answers = await asyncio.gather(
        *(collector.append([message(f"{n}-{i}") for i in range(size)]) for n, size in enumerate(sizes))
    )
    assert [len(answer) for answer in answers] == sizes


async def test_a_failing_message_does_not_fail_its_neighbours():
    """The one request whose conversation cannot be written is refused, the others are stored."""
    collector = collector_of(Answering(turns=1, refused="bad"))
    answers = await asyncio.gather(
        *(collector.append([message(name)]) for name in ("a", "bad", "b")), return_exceptions=True
    )
    assert isinstance(answers[1], StoreError)
    assert [answers[0][0].status, answers[2][0].status] == ["new", "new"]


async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch):
    """A request that waited its time is refused, also behind others that are still under way."""
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    collector = collector_of(Silent())
    answers = await asyncio.gather(
        *(collector.append([message(str(number))]) for number in range(10)), return_exceptions=True
    )
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)


async def test_too_many_waiting_are_refused_at_once(monkeypatch: pytest.MonkeyPatch):
    """The queue in front of Redis is bounded: past it the gateway is told to come back."""
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.05)
    collector = collector_of(Silent())
    waiting = [asyncio.create_task(collector.append([message(str(number))])) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="too many"):
        await collector.append([message("late")])
    await asyncio.gather(*waiting, return_exceptions=True)
