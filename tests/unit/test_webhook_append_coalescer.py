"""The append coalescer: every request gets its results in time, and no request fails because of another."""

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


def coalescer_of(store: Any) -> AppendCoalescer:
    """Build a coalescer in front of one of the stores below."""
    return AppendCoalescer(store)


class Declining:
    """A store whose `send_append` sends nothing, so that each call is retried in a task."""

    def send_append(
        self, messages: Sequence[Append], results: ReplyReceiver[list[Appended]], rules: Any = None
    ) -> bool:
        return False


class Replying(Declining):
    """A store that replies after `iterations` of the loop, and fails for one conversation."""

    def __init__(self, iterations: int = 0, refused: str | None = None) -> None:
        self.iterations = iterations
        self.refused = refused
        self.sizes: list[int] = []

    async def append(self, messages: Sequence[Append], rules: Any = None) -> list[Appended]:
        self.sizes.append(len(messages))
        for _ in range(self.iterations):
            await asyncio.sleep(0)
        if any(one.conversation.peer == self.refused for one in messages):
            raise StoreError("WRONGTYPE")
        return [Appended("new", 1, 1) for _ in messages]


class SendingAtOnce(Replying):
    """A store whose `send_append` sends. Its first calls end with `errors` in order; None means success."""

    def __init__(self, errors: Sequence[Exception | None] = (), refused: str | None = None) -> None:
        super().__init__(refused=refused)
        self.errors = list(errors)
        self.sent: list[int] = []

    def send_append(
        self, messages: Sequence[Append], results: ReplyReceiver[list[Appended]], rules: Any = None
    ) -> bool:
        self.sent.append(len(messages))
        error = self.errors.pop(0) if self.errors else None
        if isinstance(error, UnicodeError):
            raise error
        if error is not None:
            asyncio.get_running_loop().call_soon(results.set_exception, error)
        else:
            asyncio.get_running_loop().call_soon(results.set_result, [Appended("new", 1, 1) for _ in messages])
        return True


class Silent(Declining):
    """A store that never replies."""

    async def append(self, messages: Sequence[Append], rules: Any = None) -> list[Appended]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


@pytest.mark.parametrize("store", [Replying(0), Replying(1), Replying(3), SendingAtOnce()])
async def test_every_request_gets_its_results(store: Replying):
    """No request is lost between a call that ends and the next."""
    coalescer = coalescer_of(store)

    async def client(number: int) -> int:
        for step in range(50):
            await coalescer.append([message(f"{number}-{step}")])
        return 50

    async with asyncio.timeout(20):
        assert sum(await asyncio.gather(*(client(number) for number in range(40)))) == 2000


async def test_requests_of_one_loop_iteration_share_a_call():
    """Requests that arrive together are sent together."""
    store = SendingAtOnce()
    coalescer = coalescer_of(store)
    await asyncio.gather(*(coalescer.append([message(str(number))]) for number in range(100)))
    assert store.sent == [module.SEND_EARLY_AFTER] * (100 // module.SEND_EARLY_AFTER) + [100 % module.SEND_EARLY_AFTER]
    assert store.sizes == []


async def test_large_requests_do_not_share_a_call():
    """A call has at most MESSAGES_PER_CALL messages, unless a single request has more."""
    store = SendingAtOnce()
    coalescer = coalescer_of(store)
    large = [message(str(number)) for number in range(module.MESSAGES_PER_CALL - 1)]
    await asyncio.gather(*(coalescer.append(large) for _ in range(3)), coalescer.append(large * 2))
    assert store.sent == [len(large)] * 3 + [2 * len(large)]


@pytest.mark.parametrize("error", [StoreUnavailable(), StoreError("WRONGTYPE"), UnicodeError("a lone surrogate")])
async def test_a_failed_call_is_retried_in_a_task(error: Exception):
    """A lost connection, a broken conversation or a message that cannot be encoded does not fail the other requests."""
    store = SendingAtOnce([error], refused="bad")
    coalescer = coalescer_of(store)
    outcomes: list[Any] = await asyncio.gather(
        *(coalescer.append([message(name)]) for name in ("a", "bad", "b")), return_exceptions=True
    )
    assert isinstance(outcomes[1], StoreError)
    assert [outcomes[0][0].status, outcomes[2][0].status] == ["new", "new"]
    assert store.sizes == [3, 1, 1, 1]


async def test_calls_that_fail_together_are_retried_together():
    """A lost connection fails many small calls at once. They are retried in full calls."""
    store = SendingAtOnce([StoreUnavailable()] * 4)
    coalescer = coalescer_of(store)
    await asyncio.gather(*(coalescer.append([message(str(number))]) for number in range(4 * module.SEND_EARLY_AFTER)))
    assert store.sizes == [module.MESSAGES_PER_CALL] * (4 * module.SEND_EARLY_AFTER // module.MESSAGES_PER_CALL)


async def test_a_full_server_is_not_called_again():
    """All waiting requests fail at once with StoreFull."""
    store = SendingAtOnce([StoreFull()])
    coalescer = coalescer_of(store)
    outcomes = await asyncio.gather(*(coalescer.append([message(name)]) for name in "ab"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreFull, StoreFull]
    assert store.sizes == []


async def test_ended_requests_no_longer_count_as_waiting(monkeypatch: pytest.MonkeyPatch):
    """After a success or a failure there is room for the next request."""
    monkeypatch.setattr(module, "MESSAGES_WAITING_MAX", 2)
    coalescer = coalescer_of(SendingAtOnce([StoreFull(), None, StoreUnavailable()]))
    for name in "abcde":
        await asyncio.gather(coalescer.append([message(name)]), return_exceptions=True)
    assert (await coalescer.append([message("f")]))[0].status == "new"


async def test_results_go_to_their_requests():
    """Each request gets as many results as it had messages, in order."""
    coalescer = coalescer_of(Replying(iterations=2))
    sizes = [1, 3, 2, 5]
    outcomes = await asyncio.gather(
        *(coalescer.append([message(f"{n}-{i}") for i in range(size)]) for n, size in enumerate(sizes))
    )
    assert [len(outcome) for outcome in outcomes] == sizes


async def test_a_failing_message_does_not_fail_its_neighbours():
    """Only the request whose conversation cannot be written fails. The others are stored."""
    coalescer = coalescer_of(Replying(iterations=1, refused="bad"))
    outcomes = await asyncio.gather(
        *(coalescer.append([message(name)]) for name in ("a", "bad", "b")), return_exceptions=True
    )
    assert isinstance(outcomes[1], StoreError)
    assert [outcomes[0][0].status, outcomes[2][0].status] == ["new", "new"]


async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch):
    """A request that waited for STORE_TIMEOUT_S fails, also behind others that are in flight."""
    monkeypatch.setattr(module, "STORE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(module, "TIMEOUT_CHECK_EVERY_S", 0.01)
    coalescer = coalescer_of(Silent())
    outcomes = await asyncio.gather(
        *(coalescer.append([message(str(number))]) for number in range(10)), return_exceptions=True
    )
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)


async def test_too_many_waiting_are_refused_at_once(monkeypatch: pytest.MonkeyPatch):
    """The number of waiting messages is bounded. Further requests fail at once."""
    monkeypatch.setattr(module, "MESSAGES_WAITING_MAX", 3)
    monkeypatch.setattr(module, "STORE_TIMEOUT_S", 0.05)
    coalescer = coalescer_of(Silent())
    waiting = [asyncio.create_task(coalescer.append([message(str(number))])) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="too many"):
        await coalescer.append([message("late")])
    await asyncio.gather(*waiting, return_exceptions=True)
