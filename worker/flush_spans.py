"""The spans of a flush: `debouncer.flush`, below it `agent` and `reply part n`. Only imported if spans are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, set_span_in_context

from buffer.models import Batch
from config.logs import mask_phones
from config.otel import root_trace_id, span_context_of, trace_context_of
from config.trace_context import trace_id_of
from gateways.masking import mask_numbers
from worker.tracing import contexts_of, place

NAME = "debouncer.flush"
OUTCOME = "debouncer.outcome"
CUT_SHORT = "cut_short"
"""The outcome of a flush or step that was cancelled, or that ended with an error."""

ERRORS = frozenset({"retry", "dead", "lost", "broken"})
"""Result words of a flush that are errors. The others wait for a moment, or an operator or a human ended the flush."""


class _SpanPlace:
    """A span as a context manager: requests within carry its headers, and steps within are its children."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._is_noted = False
        self.headers = _headers_of(span)

    def __enter__(self) -> Self:
        self._before = place.set(self)
        self._attached = otel_context.attach(set_span_in_context(self._span))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        otel_context.detach(self._attached)
        place.reset(self._before)
        if not self._is_noted:
            self.note(CUT_SHORT, None if kind is asyncio.CancelledError else "")
        self._span.end()

    def step(self, name: str) -> SpanStep:
        """Begin a child span."""
        return SpanStep(self._tracer, self._tracer.start_span(name, kind=SpanKind.CLIENT))

    def note(self, outcome: str, problem: str | None) -> None:
        """Set the outcome. With a problem the span is an error."""
        self._is_noted = True
        self._span.set_attribute(OUTCOME, outcome)
        if problem is not None:
            self._span.set_status(StatusCode.ERROR, mask_numbers(problem) or None)


class SpanStep(_SpanPlace):
    """One request of a flush."""

    def ended(self, outcome: str, problem: str | None = None) -> None:
        """Note how the request ended."""
        self.note(outcome, problem)


class SpanTrace(_SpanPlace):
    """One attempt of a flush: the root of a trace, in the trace of its flush_id, with links to its messages."""

    def __init__(self, tracer: Tracer, batch: Batch) -> None:
        super().__init__(tracer, _root(tracer, batch))

    def ended(self, result: str) -> str:
        """Note the result word, and return it."""
        self.note(result, "" if result in ERRORS else None)
        return result


class FlushSpans:
    """Makes the spans of all flushes of a process."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __call__(self, batch: Batch) -> SpanTrace:
        """Begin the span of one attempt."""
        return SpanTrace(self._tracer, batch)


def _root(tracer: Tracer, batch: Batch) -> Span:
    before = root_trace_id.set(int(trace_id_of(batch.flush_id), 16))
    try:
        return tracer.start_span(NAME, Context(), SpanKind.CONSUMER, _attributes(batch), _links(batch))
    finally:
        root_trace_id.reset(before)


def _links(batch: Batch) -> list[Link]:
    return [Link(span_context_of(context)) for context in dict.fromkeys(contexts_of(batch))]


def _attributes(batch: Batch) -> dict[str, str | int]:
    """Return what a span tells of its batch: nobody's number, name or text."""
    gateway, channel, _ = batch.conversation
    return {
        "debouncer.flush_id": batch.flush_id,
        "debouncer.gateway": gateway,
        "debouncer.channel": mask_phones(channel),
        "debouncer.reason": batch.reason.value,
        "debouncer.attempt": batch.attempt,
        "debouncer.messages": len(batch.messages),
    }


def _headers_of(span: Span) -> Mapping[str, str]:
    context = trace_context_of(span.get_span_context())
    headers = {"traceparent": context.parent}
    return headers | {"tracestate": context.state} if context.state else headers
