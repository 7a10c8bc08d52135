"""The place of a flush in its trace: its headers without OpenTelemetry, and its spans with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from agents.results import AgentFailure, AgentReply
from buffer.keys import Ref
from buffer.models import Batch, Claim, Conversation, Outcome, Reason, StoredMessage
from buffer.reply_models import Began
from buffer.store import Store
from config.trace_context import trace_id_of
from gateways.sending import Part, SendRequest
from tests.unit.recorded_spans import RecordedSpans
from worker.agent import Agent
from worker.agents import Agents
from worker.flush import Flusher
from worker.flush_spans import FlushSpans
from worker.reply_client import ReplyClient
from worker.tracing import step, trace_headers, trace_without_spans

REF = Ref(0, "0123456789abcdef")
PEER = "5511900000011"
PHONE = "5511900000099"
TOKENS = ("1:00f067aa0ba902b7", "2:10f067aa0ba902b7")
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
ANSWER = AgentReply((Part(text="um segredo"), Part(text="dois")))
DOWN = AgentFailure(f"the agent answered 500 to {PHONE}")


def batch(*traces: str | None, token: str = TOKENS[0], **fields: Any) -> Batch:
    """A batch whose messages came with these trace contexts."""
    stored = tuple(StoredMessage(1, {"message_id": "m", "text": "um segredo"}, trace=trace) for trace in traces)
    who = Conversation("evolution", PHONE, PEER)
    one = Batch(token, "flush-1", 1, 0, Reason.QUIET, who, "Ana", 1, 1, 1, "\n", None, stored)
    return one._replace(**fields)


def parts(header: str) -> list[str]:
    """The trace id, the span id and the flags of a `traceparent`."""
    version, *ids = header.split("-")
    assert version == "00"
    return ids


def headers_of(one: Batch) -> dict[str, str]:
    """The headers of a request within the flush of a batch."""
    with trace_without_spans(one):
        return dict(trace_headers())


@pytest.mark.parametrize(
    ("traces", "flags"),
    [
        ([PARENT], "01"),
        ([OTHER], "00"),
        ([OTHER, None], "00"),
        ([OTHER, PARENT], "01"),
    ],
)
def test_the_flag_follows_the_messages(traces: list[str | None], flags: str):
    """One sampled message is enough."""
    (name, header), *others = headers_of(batch(*traces)).items()
    assert (name, others) == ("traceparent", [])
    trace_id, span_id, flag = parts(header)
    assert (trace_id, len(span_id), flag) == (trace_id_of("flush-1"), 16, flags)


@pytest.mark.parametrize("traces", [[], [None, None], ["garbage"]])
def test_without_a_trace_context(traces: list[str | None]):
    """A flush whose messages brought none is in no trace."""
    assert headers_of(batch(*traces)) == {}


def test_an_attempt_has_a_span_id_of_its_own():
    """A redelivery is in the same trace, under another span id."""
    first, second = (parts(headers_of(batch(PARENT, token=token))["traceparent"]) for token in TOKENS)
    assert first[0] == second[0]
    assert [first[1], second[1]] == [token[2:] for token in TOKENS]


def test_outside_a_flush():
    """A request that belongs to no flush carries nothing, also after one."""
    headers_of(batch(PARENT))
    assert trace_headers() == {}
    with step("agent") as call:
        call.ended("answered")


async def test_flushes_do_not_mix():
    """Each task has its own place, and a task that a flush starts stays in its flush."""
    both_inside = asyncio.Barrier(2)

    async def flush(flush_id: str) -> str:
        with trace_without_spans(batch(PARENT, flush_id=flush_id)):
            await both_inside.wait()
            return await asyncio.create_task(asyncio.to_thread(lambda: trace_headers()["traceparent"]))

    found = await asyncio.gather(flush("flush-1"), flush("flush-2"))
    assert [parts(header)[0] for header in found] == [trace_id_of("flush-1"), trace_id_of("flush-2")]


class Listener:
    """Answers every request with 200, and keeps the heads."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    one = Listener()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    yield one
    server.close()


async def test_the_agent_gets_the_header(listener: Listener, make_settings: Callable[..., Any]):
    """It is a header of the call. The body is the same without it."""
    agent = Agent(make_settings(agent_url=listener.url))
    with trace_without_spans(batch(PARENT)):
        await agent.call(batch(), b"")
    await agent.close()
    assert f"\r\ntraceparent: 00-{trace_id_of('flush-1')}-" in listener.heads[0]
    assert "tracestate" not in listener.heads[0]


async def test_the_gateway_gets_the_header(listener: Listener):
    """It is a header of each request, beside those of the gateway."""
    client = ReplyClient()
    request = SendRequest("POST", listener.url, {"apikey": "k"}, b"{}", listener.url)
    with trace_without_spans(batch(PARENT)):
        await client.send(request)
    await client.send(request)
    await client.close()
    assert f"\r\ntraceparent: 00-{trace_id_of('flush-1')}-" in listener.heads[0]
    assert "\r\napikey: k\r\n" in listener.heads[0]
    assert "traceparent" not in listener.heads[1]


class FakeStore:
    """Hands out one batch, takes every answer, and lets every part begin."""

    def __init__(self, one: Batch) -> None:
        self.batch = one

    async def claim(self, ref: Ref, caller: str) -> Claim:
        return Claim("batch", self.batch, None)

    async def renew(self, ref: Ref, token: str) -> Outcome:
        return Outcome.OK

    async def end_attempt(self, *_: Any) -> Outcome:
        return Outcome.OK

    async def answered(self, *_: Any, **__: Any) -> Outcome:
        return Outcome.OK

    async def ack(self, *_: Any, **__: Any) -> Outcome:
        return Outcome.OK

    async def release(self, *_: Any) -> Outcome:
        return Outcome.OK

    def coalesce(self, verb: str, encode: Any) -> None:
        """The tests replace the calls about parts."""


class FakeReplies:
    """Lets every part begin and end."""

    async def begin_part(self, *_: Any) -> Began:
        return Began("send", 0)

    async def end_part(self, *_: Any) -> str:
        return "ok"


class FakeAgent:
    """Answers as told, and keeps the headers of the trace."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.headers: dict[str, str] = {}

    async def held(self, one: Batch) -> None:
        return None

    async def call(self, one: Batch) -> Any:
        self.headers = dict(trace_headers())
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def recorded_spans() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture
def flush(recorded_spans: RecordedSpans, listener: Listener, make_settings: Callable[..., Any]) -> Callable[..., Any]:
    """Flush a batch with spans: await flush(batch(PARENT), ANSWER). Returns the agent."""

    async def flush_one(one: Batch, result: Any = ANSWER) -> FakeAgent:
        settings = make_settings(
            agent_url="http://agent/", evolution_url=listener.url, evolution_api_key="k", typing_indicator=False
        )
        agent = FakeAgent(result)
        flusher = Flusher(
            cast(Store, FakeStore(one)),
            cast(Agents, agent),
            settings,
            traces=FlushSpans(recorded_spans.tracer),
        )
        flusher._outbox._parts._store = cast(Any, FakeReplies())
        try:
            await flusher.flush(REF)
        finally:
            await flusher.close()
        return agent

    return flush_one


def ids(span: ReadableSpan) -> str:
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


async def test_the_spans_of_a_flush(flush, recorded_spans: RecordedSpans, listener: Listener):
    """One root with the call and the parts below it. Each request carries the context of its own span."""
    agent = await flush(batch(None, None))
    assert [span.name for span in recorded_spans.all()] == [
        "agent",
        "reply part 1",
        "reply part 2",
        "debouncer.flush",
    ]
    *steps, root = recorded_spans.all()
    assert (root.parent, root.kind) == (None, SpanKind.CONSUMER)
    assert f"{root.context.trace_id:032x}" == trace_id_of("flush-1")
    assert [(span.parent, span.kind) for span in steps] == [(root.context, SpanKind.CLIENT)] * 3
    assert agent.headers == {"traceparent": ids(steps[0])}
    assert [f"traceparent: {ids(span)}" in head for span, head in zip(steps[1:], listener.heads, strict=True)] == [
        True,
        True,
    ]


async def test_a_flush_is_linked_to_its_messages(flush, recorded_spans: RecordedSpans):
    """Each trace context is one link, and none is the parent. What cannot be read is left out."""
    await flush(batch(f"{PARENT} a=1,b=2", None, f"{PARENT} a=1,b=2", OTHER, "garbage"))
    root = recorded_spans.named("debouncer.flush")
    assert root.parent is None
    links = [(f"{link.context.trace_id:032x}", link.context.trace_state.to_header()) for link in root.links]
    assert links == [(PARENT[3:35], "a=1,b=2"), (OTHER[3:35], "")]
    assert [link.context.trace_flags.sampled for link in root.links] == [True, False]


async def test_what_a_span_tells(flush, recorded_spans: RecordedSpans):
    """Names, numbers of messages and outcomes: no phone number, no name of a person, no text."""
    await flush(batch(None, None))
    root = recorded_spans.named("debouncer.flush")
    assert dict(root.attributes or {}) == {
        "debouncer.flush_id": "flush-1",
        "debouncer.gateway": "evolution",
        "debouncer.channel": "5511*******99",
        "debouncer.reason": "quiet",
        "debouncer.attempt": 1,
        "debouncer.messages": 2,
        "debouncer.outcome": "acked",
    }
    told = "".join(span.to_json() for span in recorded_spans.all())
    assert not [secret for secret in (PEER, PHONE, "Ana", "segredo", "dois") if secret in told]


async def test_a_failed_call(flush, recorded_spans: RecordedSpans):
    """Its spans are errors, with the reason but without the number in it."""
    await flush(batch(None), DOWN)
    call, root = recorded_spans.all()
    assert (call.status.status_code, call.status.description) == (
        StatusCode.ERROR,
        "the agent answered 500 to 5511*******99",
    )
    assert (root.status.status_code, (root.attributes or {})["debouncer.outcome"]) == (StatusCode.ERROR, "retry")


async def test_a_flush_that_is_cancelled(flush, recorded_spans: RecordedSpans):
    """Its spans end, and a stop of the worker is no error. Nothing is left of them in the task."""
    with pytest.raises(asyncio.CancelledError):
        await flush(batch(None), asyncio.CancelledError())
    assert [(span.name, (span.attributes or {})["debouncer.outcome"]) for span in recorded_spans.all()] == [
        ("agent", "cut_short"),
        ("debouncer.flush", "cut_short"),
    ]
    assert {span.status.status_code for span in recorded_spans.all()} == {StatusCode.UNSET}
    assert trace_headers() == {}


async def test_an_attempt_after_another(flush, recorded_spans: RecordedSpans):
    """Both are roots of one trace, and the next flush has another."""
    for one in (batch(None), batch(None, token=TOKENS[1], attempt=2), batch(None, flush_id="flush-2")):
        await flush(one)
    roots = [span for span in recorded_spans.all() if span.name == "debouncer.flush"]
    assert len({span.context.span_id for span in roots}) == 3
    assert [f"{span.context.trace_id:032x}" for span in roots] == [trace_id_of("flush-1")] * 2 + [
        trace_id_of("flush-2")
    ]


async def test_a_flush_is_a_root_wherever_it_runs(flush, recorded_spans: RecordedSpans):
    """A span around it, as an instrumentation makes them, is not its parent, and its trace id is for no other span."""
    with recorded_spans.tracer.start_as_current_span("around"):
        await flush(batch(None))
    recorded_spans.tracer.start_span("after").end()
    assert recorded_spans.named("debouncer.flush").parent is None
    others = {f"{recorded_spans.named(name).context.trace_id:032x}" for name in ("around", "after")}
    assert len(others | {trace_id_of("flush-1")}) == 3
