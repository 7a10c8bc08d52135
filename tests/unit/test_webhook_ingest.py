"""Ingest: each request gets exactly one response, and no request breaks another."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from buffer.errors import StoreFull
from buffer.models import Append, Appended, Ignored
from buffer.transport.connection import ReplyReceiver
from config.settings import Settings
from gateways.base import Headers, Request
from gateways.registry import GATEWAYS
from webhook import append_coalescer, request_log
from webhook.asgi import WebhookEndpoint
from webhook.ingest import Ingest
from webhook.responses import Response

GENERIC = GATEWAYS["generic"]
EVOLUTION = GATEWAYS["evolution"]
MESSAGE = b'{"conversation": "ana", "text": "oi"}'
NOT_FOR_US = b'{"event": "x"}'


class Store:
    """A store that keeps the calls it gets, until `reply` ends them."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ReplyReceiver[list[Appended]]]] = []

    def send_append(self, messages: Sequence[Append], receiver: ReplyReceiver[list[Appended]]) -> bool:
        self.calls.append((len(messages), receiver))
        return True

    def reply(self) -> None:
        """End the oldest call: all its messages are new."""
        count, receiver = self.calls.pop(0)
        receiver.set_result([Appended("new", 1, 1)] * count)

    def fail(self) -> None:
        """End the oldest call: the server is full."""
        self.calls.pop(0)[1].set_exception(StoreFull())


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def make_ingest(make_settings: Callable[..., Settings], store: Any) -> Callable[..., Ingest]:
    """Build an ingest that is open for `generic` and `evolution`."""

    def make(*, ready: bool = True) -> Ingest:
        ingest = Ingest(make_settings(generic_token="t", evolution_token="t"))
        if ready:
            ingest.accept_into(store)
        return ingest

    return make


def request(body: bytes = MESSAGE, token: str = "t") -> Request:
    return Request(Headers({b"authorization": token.encode()}), {}, "", body)


async def test_a_response_waits_for_the_store(make_ingest, store: Store):
    """No response before the messages are stored, and then one with their counts."""
    responses: list[Response] = []
    assert make_ingest().handle(GENERIC, request(), responses.append) is None
    await asyncio.sleep(0)
    assert responses == []
    store.reply()
    assert [response.status for response in responses] == [200]
    assert orjson.loads(responses[0].body) == {"accepted": 1, "duplicates": 0, "ignored": 0}


@pytest.mark.parametrize(
    ("ready", "token", "body", "status"),
    [(True, "t", b"{", 400), (True, "no", b"{", 401), (False, "no", b"{", 401), (False, "t", b"{", 503)],
)
async def test_an_error_is_responded_at_once(make_ingest, ready: bool, token: str, body: bytes, status: int):
    """Authentication comes before readiness, and both come before parsing."""
    responses: list[Response] = []
    assert make_ingest(ready=ready).handle(GENERIC, request(body, token), responses.append) is None
    assert [response.status for response in responses] == [status]


async def test_several_steps_come_back_as_a_coroutine(make_ingest):
    """A request that is not only messages gets its response from the coroutine."""
    responses: list[Response] = []
    remaining = make_ingest().handle(EVOLUTION, request(NOT_FOR_US), responses.append)
    assert responses == []
    await remaining
    assert [orjson.loads(response.body)["ignored"] for response in responses] == [1]


async def test_ignored_parts_beside_messages_need_no_further_step(make_ingest, store: Store):
    """A body with messages and ignored parts is stored by one append, and an ignored part counts when it is stored."""
    responses: list[Response] = []
    parts = [Ignored("call"), Ignored("misfit", "odd {a}")]
    gateway = dataclasses.replace(GENERIC, parse=lambda request: [parts[0], *GENERIC.parse(request), parts[1]])
    ingest = make_ingest()
    assert ingest.handle(gateway, request(), responses.append) is None
    await asyncio.sleep(0)
    assert not ingest.left_out.ignored
    store.reply()
    assert orjson.loads(responses[0].body) == {"accepted": 1, "duplicates": 0, "ignored": 2}
    assert dict(ingest.left_out.ignored) == {("generic", "call"): 1, ("generic", "misfit"): 1}


async def test_a_broken_response_does_not_reach_the_other_requests(make_ingest, store: Store):
    """The connection of the first request breaks while its response is written. The second gets its own."""
    ingest = make_ingest()
    attempts: list[Response] = []
    responses: list[Response] = []

    def respond(response: Response) -> None:
        attempts.append(response)
        raise OSError("broken")

    ingest.handle(GENERIC, request(), respond)
    ingest.handle(GENERIC, request(), responses.append)
    await asyncio.sleep(0)
    store.reply()
    assert len(attempts) == 1
    assert [response.status for response in responses] == [200]


async def test_a_late_reply_gives_no_second_response(make_ingest, store: Store, monkeypatch: pytest.MonkeyPatch):
    """A request that timed out has its response: the reply of Redis changes nothing."""
    monkeypatch.setattr(append_coalescer, "STORE_TIMEOUT_S", 0.01)
    monkeypatch.setattr(append_coalescer, "TIMEOUT_CHECK_EVERY_S", 0.01)
    responded = asyncio.Event()
    responses: list[Response] = []

    def respond(response: Response) -> None:
        responses.append(response)
        responded.set()

    make_ingest().handle(GENERIC, request(), respond)
    await responded.wait()
    store.reply()
    assert [response.status for response in responses] == [503]


async def test_the_log_lines_come_before_the_response(make_ingest, store: Store, monkeypatch: pytest.MonkeyPatch):
    """A client that has its response finds its lines in the log, after a success and after a failure."""
    order: list[str] = []
    monkeypatch.setattr(request_log.log, "info", lambda *_, **__: order.append("log"), raising=False)
    monkeypatch.setattr(request_log.log, "warning", lambda *_, **__: order.append("log"), raising=False)
    ingest = make_ingest()
    for end in (store.reply, store.fail):
        ingest.handle(GENERIC, request(), lambda response: order.append(f"response {response.status}"))
        await asyncio.sleep(0)
        end()
    assert order == ["log", "response 200", "log", "response 503"]


@pytest.mark.parametrize(("end", "status"), [("reply", 200), ("fail", 503)])
async def test_a_cancelled_request_disturbs_no_others(make_ingest, store: Store, end: str, status: int):
    """A server cancels the task of a request that shares its call with another: the other gets its response."""
    endpoint = WebhookEndpoint(make_ingest())
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": MESSAGE, "more_body": False}

    async def send(event: Any) -> None:
        statuses.extend([event["status"]] if "status" in event else [])

    scope = {"type": "http", "method": "POST", "path": "/webhooks/generic", "query_string": b""}
    scope["headers"] = [(b"authorization", b"t")]
    first, second = (asyncio.create_task(endpoint(scope, receive, send)) for _ in range(2))
    for _ in range(2):
        await asyncio.sleep(0)
    assert [count for count, _ in store.calls] == [2]
    first.cancel()
    await asyncio.wait([first])
    getattr(store, end)()
    await second
    assert statuses == [status]
