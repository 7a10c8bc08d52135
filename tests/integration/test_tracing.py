"""A trace through the whole way: from the gateway's request to the agent and back to the gateway, by real processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from config.trace_context import TraceContext, read_context, trace_id_of
from tests.gateway_stubs.evolution import EvolutionStub
from tests.integration.agent import Answer, Call
from tests.integration.collector import Collector, attributes_of
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.processes import TOKEN
from tests.integration.reply_line import SENDS, ReplyLine, replying

pytestmark = pytest.mark.server

ANA = "5511900000011"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
STATE = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
EXPORT_AT_ONCE: dict[str, object] = {"otel_bsp_schedule_delay": 50}


@pytest.fixture
def stub() -> Iterator[EvolutionStub]:
    one = EvolutionStub()
    one.open()
    yield one
    one.close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.close()


@pytest.fixture
def line(stub: EvolutionStub, start_deployment: Callable[..., Deployment]) -> Callable[..., ReplyLine]:
    """Start a deployment that sends its replies to the stub: line(otel_traces_exporter="otlp")."""

    def start(**settings: object) -> ReplyLine:
        return ReplyLine(start_deployment(**{**SENDS, "evolution_url": stub.url, **settings}), stub)

    return start


def say(way: ReplyLine, text: str, **headers: str) -> None:
    """Post one message of Ana with headers of its own."""
    key = {"remoteJid": f"{ANA}@s.whatsapp.net", "fromMe": False, "id": f"3EB0{text}"}
    body = {"event": "messages.upsert", "instance": "loja", "data": {"key": key, "message": {"conversation": text}}}
    url = f"http://127.0.0.1:{way.webhook.port}/webhooks/evolution"
    answer = httpx.post(url, json=body, headers={"Authorization": f"Bearer {TOKEN}", **headers}, timeout=30.0)
    assert answer.json()["accepted"] == 1, answer.text


def place_of(headers: Any) -> TraceContext:
    """Where a request stands in a trace."""
    context = read_context(headers["traceparent"], headers.get("tracestate", ""))
    assert context is not None
    return context


def places(calls: list[Call]) -> list[TraceContext]:
    """Where calls of the agent stand."""
    return [place_of({name.lower(): value for name, value in call.headers.items()}) for call in calls]


@pytest.mark.parametrize(("parent", "is_sampled"), [(SAMPLED, True), (UNSAMPLED, False)])
def test_without_opentelemetry(line, stub: EvolutionStub, parent: str, is_sampled: bool):
    """Agent and gateway get a trace of the flush's own: a redelivery is in it too, and the log names it."""
    way = line()
    way.deployment.agent.answer(ANA, Answer(503), replying("one", "two"))
    worker = way.deployment.worker()
    say(way, "oi", traceparent=parent, tracestate=STATE)
    way.wait_heard(ANA, ["one", "two"])
    first, second = calls = way.calls_of(ANA)
    assert first.body == second.body
    before, after = places(calls)
    assert before.trace_id == after.trace_id == trace_id_of(first.key)
    assert before.span_id != after.span_id
    assert (before.sampled, after.sampled, after.state) == (is_sampled, is_sampled, "")
    at_gateway = [place_of(received.headers) for received in stub.requests]
    assert {(place.trace_id, place.sampled) for place in at_gateway} == {(after.trace_id, is_sampled)}
    assert after in at_gateway
    lines = [one for one in worker.log_lines() if one.get("flush_id") == first.key]
    assert len(lines) >= 4
    assert {one["trace_id"] for one in lines} == {after.trace_id}


def test_with_opentelemetry(line, stub: EvolutionStub, collector: Collector):
    """The collector gets one trace for the flush, linked to the appends, which are in the traces of the requests.

    The second part waits for the limit of its person, so it leaves with a second attempt.
    """
    way = line(otel_exporter_otlp_endpoint=collector.url, typing_indicator="false", **EXPORT_AT_ONCE)
    way.deployment.agent.answer(ANA, replying("one", "two"))
    way.deployment.worker()
    say(way, "oi", traceparent=SAMPLED, tracestate=STATE)
    say(way, "tudo bem?")
    way.wait_heard(ANA, ["one", "two"])
    until("all spans are exported", lambda: len(collector.spans) >= 7)
    appends, flushes = collector.named("debouncer.append"), collector.named("debouncer.flush")
    steps = [*collector.named("agent"), *collector.named("reply part 1"), *collector.named("reply part 2")]
    assert (len(appends), len(flushes), len(steps)) == (2, 2, 3)

    (call,) = way.calls_of(ANA)
    assert {(flush.trace_id.hex(), flush.parent_span_id) for flush in flushes} == {(trace_id_of(call.key), b"")}
    links = [[(link.trace_id, link.span_id) for link in flush.links] for flush in flushes]
    assert links == [[(one.trace_id, one.span_id) for one in appends]] * 2
    assert (appends[0].trace_id.hex(), appends[0].parent_span_id.hex()) == (TRACE, SPAN)
    assert appends[0].trace_state == STATE
    assert (appends[1].parent_span_id, appends[1].trace_id.hex() == TRACE) == (b"", False)

    first, second = (flush.span_id for flush in flushes)
    assert [step.parent_span_id for step in steps] == [first, first, second]
    sent = [*places([call]), *(place_of(received.headers) for received in stub.requests)]
    assert [(place.trace_id, place.span_id, place.sampled) for place in sent] == [
        (step.trace_id.hex(), step.span_id.hex(), True) for step in steps
    ]
    assert [attributes_of(flush)["debouncer.outcome"] for flush in flushes] == ["wait", "acked"]
    assert collector.services == {"debouncer"}
    told = "".join(map(str, collector.spans))
    assert not [secret for secret in (ANA, "tudo bem?", "two") if secret in told]


def test_the_body_is_the_same_with_and_without_a_trace(line):
    """Two persons write the same. The request of one is traced, and nothing of that is in the body."""
    way = line()
    way.deployment.worker()
    way.deployment.agent.answer(ANA, Answer(204))
    say(way, "oi", traceparent=SAMPLED, tracestate=STATE)
    until("the agent is called", lambda: way.calls_of(ANA))
    body = way.calls_of(ANA)[0].body.decode()
    assert not [word for word in ("trace", TRACE, "congo") if word in body]


def test_what_is_left_is_exported_at_a_stop(line, collector: Collector):
    """Neither process leaves spans behind when it stops in order."""
    way = line(otel_exporter_otlp_endpoint=collector.url, otel_bsp_schedule_delay=600_000)
    way.deployment.agent.answer(ANA, Answer(204))
    worker = way.deployment.worker()
    say(way, "oi")
    until("the flush is acked", lambda: way.counters().get("acked"))
    assert collector.spans == []
    for process in (worker, way.webhook):
        process.terminate()
        process.wait()
    assert sorted(span.name for span in collector.spans) == ["agent", "debouncer.append", "debouncer.flush"]


def test_several_webhook_processes(start_deployment: Callable[..., Deployment], collector: Collector):
    """Each process of `debouncer serve` makes its spans, and exports them when it stops."""
    deployment = start_deployment(otel_traces_exporter="otlp", otel_exporter_otlp_endpoint=collector.url)
    webhook = deployment.webhook(workers=2, options=("serve",))
    for number in range(20):
        assert webhook.say("ana", "oi", message_id=f"m{number}").status_code == 200
    webhook.signal(signal.SIGTERM)
    assert webhook.wait() == 0
    assert len(collector.named("debouncer.append")) == 20


def test_a_collector_that_is_away_costs_nothing(line):
    """Messages come in and answers go out, and both processes stop in order."""
    way = line(otel_exporter_otlp_endpoint="http://127.0.0.1:1", **EXPORT_AT_ONCE)
    way.deployment.agent.answer(ANA, replying("one"))
    worker = way.deployment.worker()
    say(way, "oi")
    way.wait_heard(ANA, ["one"])
    way.wait_idle()
    for process in (worker, way.webhook):
        process.terminate()
    assert worker.wait() == 0
    way.webhook.wait()
    assert "Traceback" not in worker.log
