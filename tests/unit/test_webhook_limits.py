"""What clients may take of a webhook process: memory for bodies, descriptors for connections."""

from __future__ import annotations

import asyncio
import resource
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import pytest
from structlog.testing import capture_logs
from uvicorn.config import Config
from uvicorn.server import ServerState

from config.descriptors import connections_max, raise_descriptor_limit
from gateways.base import Headers, Request
from gateways.registry import GATEWAYS
from tests.recorded_bodies import FORMS
from tests.signing import OPEN, SECRET, sign
from webhook.asgi import WebhookEndpoint
from webhook.connection import LimitedProtocol
from webhook.fast_path import FastPathProtocol
from webhook.ingest import Ingest
from webhook.left_out import NO_GATEWAY, LeftOut
from webhook.limits import LIMITS, SMALL_BODY_MAX, BodyBudget, BodyReader, ConnectionLimits, Disconnected
from webhook.responses import Busy, HTTPError

LARGE = SMALL_BODY_MAX + 1


def test_large_bodies_leave_a_quarter_to_small_ones():
    """Large bodies fill three quarters of the budget, small ones all of it."""
    budget = BodyBudget(4 * LARGE)
    for _ in range(3):
        budget.take(LARGE, LARGE)
    with pytest.raises(Busy):
        budget.take(LARGE, LARGE)
    budget.take(SMALL_BODY_MAX, SMALL_BODY_MAX)
    with pytest.raises(Busy):
        budget.take(SMALL_BODY_MAX, SMALL_BODY_MAX)
    budget.give_back(SMALL_BODY_MAX)
    budget.take(1, 1)
    assert budget.held == 3 * LARGE + 1


def receiver(*pieces: bytes, ends: bool = True, leaves: bool = False) -> Any:
    """Return an ASGI `receive` that gives these pieces, and then waits for ever or tells that the client left."""
    events: list[dict[str, Any]] = [{"type": "http.request", "body": each, "more_body": True} for each in pieces]
    if leaves:
        events.append({"type": "http.disconnect"})
    elif ends:
        events.append({"type": "http.request"})

    async def receive() -> dict[str, Any]:
        if not events:
            await asyncio.Event().wait()
        return events.pop(0)

    return receive


@pytest.mark.parametrize(
    ("receive", "error"),
    [
        (receiver(b"x" * 60, b"x" * 60), HTTPError),
        (receiver(b"x" * 60, ends=False), HTTPError),
        (receiver(b"x" * 60, leaves=True), Disconnected),
    ],
    ids=["too large", "too slow", "left"],
)
async def test_what_a_body_took_comes_back(receive, error):
    """Whatever ends the reading of a body, its memory is free after its response."""
    budget = BodyBudget(1000)
    reader = BodyReader(budget, 100, 0.05)
    reader.reserve(10)
    with pytest.raises(error):
        await reader.read(receive)
    assert budget.held == 60
    reader.close()
    assert budget.held == 0


async def test_a_declared_body_is_counted_once():
    """A body takes its declared length at once, and its pieces take nothing more."""
    budget = BodyBudget(1000)
    reader = BodyReader(budget, 100, 5)
    reader.reserve(90)
    assert await reader.read(receiver(b"a" * 40, b"b" * 50)) == b"a" * 40 + b"b" * 50
    assert budget.held == 90


async def test_pieces_without_a_length_use_up_the_budget():
    """A body of unknown length is refused when its next piece does not fit."""
    budget = BodyBudget(100)
    reader = BodyReader(budget, 1000, 5)
    with pytest.raises(Busy):
        await reader.read(receiver(b"a" * 60, b"b" * 60))
    assert budget.held == 60


@pytest.mark.parametrize(("limit", "most"), [(20, 1), (256, 224), (1024, 896), (1_048_576, 917_504)])
def test_descriptors_are_kept(limit: int, most: int):
    """An eighth of all descriptors, and at least 32, is not for clients."""
    assert connections_max(limit) == most


@pytest.mark.parametrize(("refused", "limit"), [(None, 4096), (ValueError, 256), (OSError, 256)])
def test_the_limit_of_descriptors_is_raised(monkeypatch: pytest.MonkeyPatch, refused: Any, limit: int):
    """The soft limit becomes the hard one. Where that is refused, the old limit is what counts."""
    asked: list[tuple[int, int]] = []

    def setrlimit(_: int, limits: tuple[int, int]) -> None:
        asked.append(limits)
        if refused:
            raise refused

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert raise_descriptor_limit() == limit
    assert asked == [(4096, 4096)]


@pytest.mark.parametrize("protocol", [LimitedProtocol, FastPathProtocol])
async def test_a_connection_too_many_is_refused(protocol):
    """It gets 503 and is closed, those before it stay, and one line a minute says what to do."""
    state = ServerState()
    config = Config("webhook.fast_path:FastPathProtocol", log_config=None, access_log=False)
    config.load()
    transports = [Transport() for _ in range(4)]
    left_out = LeftOut()
    limits = ConnectionLimits(connections_max=2, on_refusal=partial(left_out.refuse, NO_GATEWAY))
    for transport in transports[:2]:
        protocol(config, state, {LIMITS: limits}).connection_made(transport)
    with capture_logs() as lines:
        for transport in transports[2:]:
            protocol(config, state, {LIMITS: limits}).connection_made(transport)
    assert [line["event"].partition(";")[0] for line in lines] == [
        "1 webhook refused: no file descriptor is left for the connection"
    ]
    assert [transport.closed for transport in transports] == [False, False, True, True]
    assert transports[2].written.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in transports[2].written
    for connection in list(state.connections):
        connection.connection_lost(None)
    left_out.flush(everything=True)


class Transport:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_head_never_refuses_what_is_authentic(make_settings, gateway):
    """`verify_head` is True only if no body changes what `verify` says, and False without any token or signature."""
    record, settings = GATEWAYS[gateway], make_settings(**OPEN)
    body = b"a=b" if gateway in FORMS else b"{}"
    signed = sign(gateway, f"/webhooks/{gateway}", body)
    headers = {name.lower().encode(): value.encode() for name, value in signed.headers.items()}
    path, _, query = signed.path.partition("?")
    request = Request(Headers(headers), dict(parse_qsl(query)), "", body, path, query)
    assert record.verify(request, settings)
    if record.verify_head is not None:
        request.body = b"another"
        verdict = record.verify_head(request, settings)
        assert verdict is (True if record.verify(request, settings) else None)
        assert record.verify_head(Request(Headers({}), {}, "", b"", signed.path), settings) is False


@pytest.mark.parametrize("gateway", sorted(set(GATEWAYS)))
def test_a_wrong_token_is_refused_by_the_head(make_settings, gateway):
    """A token is compared before the body is read, also where the gateway may sign instead."""
    record = GATEWAYS[gateway]
    settings = make_settings(**{**OPEN, "chatwoot_secret": None, "chatwoot_token": SECRET})
    wrong = Request(Headers({b"authorization": b"Bearer no", b"x-chatwoot-signature": b"00"}), {"token": "no"}, "", b"")
    assert record.verify_head is None or record.verify_head(wrong, settings) is False


@pytest.mark.parametrize("gateway", sorted(name for name, record in GATEWAYS.items() if record.verify_head))
async def test_a_full_budget_does_not_hide_a_wrong_token(make_settings, gateway):
    """A request that its head refuses gets 401, not 503, although no memory is left for its body."""
    ingest = Ingest(make_settings(**OPEN))
    ingest.budget = BodyBudget(0)
    sent: list[Any] = []
    path = f"/webhooks/{gateway}"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}

    async def send(event: Any) -> None:
        sent.append(event)

    await WebhookEndpoint(ingest)(scope | {"headers": [(b"content-length", b"9")]}, receiver(b"{}"), send)
    assert sent[0]["status"] == 401


@pytest.mark.parametrize("gateway", ["chatwoot", "meta", "twilio", "waha"])
async def test_a_head_with_a_signature_does_not_vouch_for_the_body(make_settings, gateway):
    """A body that the signature in the head does not match gets 401."""
    signed = sign(gateway, f"/webhooks/{gateway}", b"a=b" if gateway in FORMS else b"{}")
    headers = [(name.lower().encode(), value.encode()) for name, value in signed.headers.items()]
    path, _, query = signed.path.partition("?")
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": query.encode()}
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    await WebhookEndpoint(Ingest(make_settings(**OPEN)))(scope | {"headers": headers}, receiver(b"another"), send)
    assert sent[0]["status"] == 401
