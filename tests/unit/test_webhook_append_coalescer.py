"""The collector in front of the store: nothing waits for ever, nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from buffer.errors import StoreError, StoreFull, StoreUnavailable
from buffer.models import Append, Appended, Conversation
from buffer.transport.connection import ReplyReceiver
from webhook import append_coalescer as module
from webhook.append_coalescer import AppendCoalescer


def message(name: str) -> Append:
    return Append(Conversation("generic", "loja", name), name.encode().ljust(8), b"nnnn", b"{}")


def collector_of(store: Any) -> AppendCoalescer:
    """A collector in front of one of the stores below."""
    return AppendCoalescer(store)


class Careful:
    """A store that sends nothing at once."""

    def send_append(self, messages: Sequence[Append], results: ReplyReceiver[list[Appended]]) -> bool:
        return False


class Answering(Careful):
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


class AtOnce(Answering):
    """A store that sends at once; its first calls end with `errors`, in turn, None being none."""

    def __init__(self, errors: Sequence[Exception | None] = (), refused: str | None = None) -> None:
        super().__init__(refused=refused)
        self.errors = list(errors)
        self.sent: list[int] = []

    def send_append(self, messages: Sequence[Append], results: ReplyReceiver[list[Appended]]) -> bool:
        self.sent.append(len(messages))
        error = self.errors.pop(0) if self.errors else None
        if isinstance(error, UnicodeError):
            raise error
        if error is not None:
            asyncio.get_running_loop().call_soon(results.set_exception, error)
        else:
            asyncio.get_running_loop().call_soon(results.set_result, [Appended("new", 1, 1) for _ in messages])
        return True


class Silent(Careful):
    """A store that never answers."""

    async def append(self, messages: Sequence[Append]) -> list[Appended]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


@pytest.mark.parametrize("store", [Answering(0), Answering(1), Answering(3), AtOnce()])
async def test_every_request_is_answered(store: Answering):
    """No request falls between a call that is over and the next."""
    collector = collector_of(store)

    async def client(number: int) -> int:
        for step in range(50):
            await collector.append([message(f"{number}-{step}")])
        return 50

    async with asyncio.timeout(20):
        assert sum(await asyncio.gather(*(client(number) for number in range(40)))) == 2000


async def test_requests_of_one_turn_share_a_call():
    """What arrives together goes to Redis together."""
    store = AtOnce()
    collector = collector_of(store)
    await asyncio.gather(*(collector.append([message(str(number))]) for number in range(100)))
    assert store.sent == [module.SEND_EARLY_AFTER] * (100 // module.SEND_EARLY_AFTER) + [100 % module.SEND_EARLY_AFTER]
    assert store.sizes == []


async def test_large_requests_are_parted():
    """A call has no more messages than it may, unless one request has more."""
    store = AtOnce()
    collector = collector_of(store)
    large = [message(str(number)) for number in range(module.MESSAGES_PER_CALL - 1)]
    await asyncio.gather(*(collector.append(large) for _ in range(3)), collector.append(large * 2))
    assert store.sent == [len(large)] * 3 + [2 * len(large)]


@pytest.mark.parametrize("error", [StoreUnavailable(), StoreError("WRONGTYPE"), UnicodeError("a lone surrogate")])
async def test_what_fails_at_once_is_sent_with_care(error: Exception):
    """A lost connection, one broken conversation, or a message that cannot be written costs the others nothing."""
    store = AtOnce([error], refused="bad")
    collector = collector_of(store)
    answers: list[Any] = await asyncio.gather(
        *(collector.append([message(name)]) for name in ("a", "bad", "b")), return_exceptions=True
    )
    assert isinstance(answers[1], StoreError)
    assert [answers[0][0].status, answers[2][0].status] == ["new", "new"]
    assert store.sizes == [3, 1, 1, 1]


async def test_what_fails_together_is_sent_together():
    """A lost connection fails many small groups at once: they come again in full calls."""
    store = AtOnce([StoreUnavailable()] * 4)
    collector = collector_of(store)
    await asyncio.gather(*(collector.append([message(str(number))]) for number in range(4 * module.SEND_EARLY_AFTER)))
    assert store.sizes == [module.MESSAGES_PER_CALL] * (4 * module.SEND_EARLY_AFTER // module.MESSAGES_PER_CALL)


async def test_a_full_server_is_not_asked_again():
    """Whoever waits hears at once that there is no room."""
    store = AtOnce([StoreFull()])
    collector = collector_of(store)
    answers = await asyncio.gather(*(collector.append([message(name)]) for name in "ab"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreFull, StoreFull]
    assert store.sizes == []


async def test_room_comes_back(monkeypatch: pytest.MonkeyPatch):
    """What has ended, well or not, no longer counts as waiting."""
    monkeypatch.setattr(module, "MESSAGES_WAITING_MAX", 2)
    collector = collector_of(AtOnce([StoreFull(), None, StoreUnavailable()]))
    for name in "abcde":
        await asyncio.gather(collector.append([message(name)]), return_exceptions=True)
    assert (await collector.append([message("f")]))[0].status == "new"


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
    monkeypatch.setattr(module, "STORE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(module, "TIMEOUT_CHECK_EVERY_S", 0.01)
    collector = collector_of(Silent())
    answers = await asyncio.gather(
        *(collector.append([message(str(number))]) for number in range(10)), return_exceptions=True
    )
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)


async def test_too_many_waiting_are_refused_at_once(monkeypatch: pytest.MonkeyPatch):
    """The queue in front of Redis is bounded: past it the gateway is told to come back."""
    monkeypatch.setattr(module, "MESSAGES_WAITING_MAX", 3)
    monkeypatch.setattr(module, "STORE_TIMEOUT_S", 0.05)
    collector = collector_of(Silent())
    waiting = [asyncio.create_task(collector.append([message(str(number))])) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="too many"):
        await collector.append([message("late")])
    await asyncio.gather(*waiting, return_exceptions=True)
