"""The trace context of webhook requests: kept with their messages, and with OpenTelemetry the place of a span."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from buffer.errors import StoreFull
from buffer.models import Append, Appended, Message
from buffer.stored_message import TRACE
from buffer.transport.connection import ReplyReceiver
from config.trace_context import read_stored
from gateways.base import Headers, Request
from gateways.registry import GATEWAYS
from tests.unit.recorded_spans import RecordedSpans
from webhook.append_spans import AppendSpans
from webhook.asgi import _head_of
from webhook.ingest import Ingest
from webhook.responses import Response

GENERIC = GATEWAYS["generic"]
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = PARENT[:-1] + "0"
OTHER = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MESSAGE = b'{"conversation": "ana", "text": "oi"}'


class Store:
    """A store that keeps what is appended, and fails it if told so."""

    def __init__(self) -> None:
        self.appends: list[Append] = []
        self.error: Exception | None = None

    def send_append(
        self, messages: Sequence[Append], receiver: ReplyReceiver[list[Appended]], rules: Any = None
    ) -> bool:
        self.appends += messages
        if self.error is not None:
            receiver.set_exception(self.error)
        else:
            receiver.set_result([Appended("new", 1, 1)] * len(messages))
        return True

    def traces(self) -> list[str | None]:
        """The trace context that is stored with each message."""
        return [orjson.loads(append.payload).get(TRACE) for append in self.appends]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def recorded_spans() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture
def post(make_settings: Callable[..., Any], store: Any) -> Callable[..., Any]:
    """Handle one request and return its response: await post(traceparent=PARENT)."""

    async def post_one(
        body: bytes = MESSAGE, token: str = "t", gateway: Any = GENERIC, spans: Any = None, **headers: str
    ) -> Response:
        ingest = Ingest(make_settings(generic_token="t"), None, spans)
        ingest.accept_into(store)
        sent = {"authorization": token, **headers}
        fields = {name.encode(): value.encode() for name, value in sent.items()}
        responses: list[Response] = []
        remaining = ingest.handle(gateway, Request(Headers(fields), {}, "", body), responses.append)
        if remaining is not None:
            await remaining
        ingest._sink.coalescer._send_all()  # type: ignore[union-attr]
        (response,) = responses
        return response

    return post_one


async def test_the_context_of_a_request_is_kept_with_its_messages(post, store: Store):
    """Each message of the body has it."""
    await post(b"[" + MESSAGE + b"," + MESSAGE + b"]", traceparent=PARENT, tracestate="a=1")
    assert store.traces() == [f"{PARENT} a=1"] * 2


@pytest.mark.parametrize("headers", [{}, {"tracestate": "a=1"}, {"traceparent": PARENT.upper()}])
async def test_nothing_is_kept_without_a_valid_one(post, store: Store, headers: dict[str, str]):
    """Messages of other requests take no more room."""
    await post(**headers)
    assert store.traces() == [None]


async def test_the_context_is_kept_on_the_way_in_steps(post, store: Store):
    """A request with a message of ours beside others is handled in several steps, and the others have the context."""

    def parse(request: Request) -> Sequence[Any]:
        (event,) = GENERIC.parse(request)
        assert isinstance(event, Message)
        return [event, dataclasses.replace(event, from_me=True)]

    await post(gateway=dataclasses.replace(GENERIC, parse=parse), traceparent=PARENT)
    assert store.traces() == [PARENT]


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ([("traceparent", PARENT), ("traceparent", PARENT)], {}),
        ([("traceparent", PARENT), ("traceparent", OTHER)], {}),
        (
            [("tracestate", "a=1"), ("traceparent", PARENT), ("tracestate", "b=2")],
            {"traceparent": PARENT, "tracestate": "a=1,b=2"},
        ),
        ([("x", "1"), ("x", "2"), ("traceparent", PARENT)], {"x": "2", "traceparent": PARENT}),
    ],
)
def test_doubled_header_fields(lines: list[tuple[str, str]], kept: dict[str, str]):
    """A doubled `traceparent` is not valid; several lines of `tracestate` are one list."""
    pairs = [(name.encode(), value.encode()) for name, value in lines]
    headers = _head_of({"query_string": b"", "path": "/", "headers": pairs}, "").headers
    names = ("traceparent", "tracestate", "x")
    assert {name: value for name in names if (value := headers.get(name, ""))} == kept


async def test_a_span_of_a_request(post, store: Store, recorded_spans: RecordedSpans):
    """It is a child of the request's span, ends with the response, and its own context is kept with the messages."""
    await post(spans=AppendSpans(recorded_spans.tracer), traceparent=PARENT, tracestate="a=1")
    (span,) = recorded_spans.all()
    assert (span.name, span.kind) == ("debouncer.append", SpanKind.SERVER)
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" == PARENT[3:-3]
    assert dict(span.attributes or {}) == {"debouncer.gateway": "generic", "http.response.status_code": 200}
    (stored,) = store.traces()
    own = read_stored(stored)
    assert own == (PARENT[3:35], f"{span.context.span_id:016x}", True, "a=1")


async def test_a_request_without_a_context_begins_a_trace(post, store: Store, recorded_spans: RecordedSpans):
    """The span is a root, and its messages are linked to it all the same."""
    await post(spans=AppendSpans(recorded_spans.tracer))
    (span,) = recorded_spans.all()
    assert span.parent is None
    (stored,) = store.traces()
    assert stored == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


async def test_a_span_that_is_not_recorded(post, store: Store, recorded_spans: RecordedSpans):
    """The sampler follows the request: nothing is recorded, and the request's own context is kept."""
    await post(spans=AppendSpans(recorded_spans.tracer), traceparent=UNSAMPLED)
    assert recorded_spans.all() == []
    assert store.traces() == [UNSAMPLED]


async def test_a_request_that_is_not_authentic_has_no_span(post, recorded_spans: RecordedSpans):
    """Nobody without the secret fills the collector."""
    assert (await post(token="no", spans=AppendSpans(recorded_spans.tracer), traceparent=PARENT)).status == 401
    assert recorded_spans.all() == []


async def test_a_request_that_is_not_stored(post, store: Store, recorded_spans: RecordedSpans):
    """Its span is an error; one that the sender must correct is not."""
    store.error = StoreFull()
    assert (await post(spans=AppendSpans(recorded_spans.tracer))).status == 503
    assert (await post(b"{", spans=AppendSpans(recorded_spans.tracer))).status == 400
    assert [span.status.status_code for span in recorded_spans.all()] == [StatusCode.ERROR, StatusCode.UNSET]
