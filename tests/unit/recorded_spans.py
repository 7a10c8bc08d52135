"""Spans that stay in memory, made as a process makes them."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from config.otel import SpanMaker


class RecordedSpans:
    """The spans that were ended so far."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        maker = SpanMaker("")
        maker.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = maker.tracer

    def all(self) -> list[ReadableSpan]:
        """Return them in the order of their ends."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        """Return the only one of a name."""
        (span,) = [span for span in self.all() if span.name == name]
        return span
