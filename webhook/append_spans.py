"""The span of a webhook request: from its authentication to its response. Only imported if spans are wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, StatusCode, Tracer, set_span_in_context

from config.otel import span_context_of, trace_context_of
from config.trace_context import read_stored
from gateways.base import Gateway
from webhook.responses import Response

NAME = "debouncer.append"


class TracedRequest(Protocol):
    """An authentic request. `trace` is the trace context that is stored with its messages, None for none."""

    gateway: Gateway
    trace: str | None

    def when_responded(self, tell: Callable[[Response], None]) -> None:
        """Give the response to `tell` as well."""


class AppendSpans:
    """Makes one span for each request."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, request: TracedRequest) -> None:
        """Begin a span in the trace of the request, or in one of its own. It ends with the response.

        The messages are stored with the context of this span, so that their flush is linked to it. If the span is not
        recorded, they are stored with the trace context of the request.
        """
        span = self._tracer.start_span(
            NAME, _parent_of(request), SpanKind.SERVER, {"debouncer.gateway": request.gateway.name}
        )
        if span.is_recording():
            request.trace = trace_context_of(span.get_span_context()).stored()
        request.when_responded(lambda response: _end(span, response))


def _parent_of(request: TracedRequest) -> Context:
    """Return the context of the request. Without one, an empty one, so that the span is the root of a trace."""
    context = read_stored(request.trace)
    return set_span_in_context(NonRecordingSpan(span_context_of(context)), Context()) if context else Context()


def _end(span: Span, response: Response) -> None:
    span.set_attribute("http.response.status_code", response.status)
    if response.status >= 500:
        span.set_status(StatusCode.ERROR)
    span.end()
