"""OpenTelemetry's SDK as this service uses it. Import it only through config/tracing.py: it is an extra.

The classes of the SDK read their own standard names: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER,
OTEL_BSP_*, OTEL_SPAN_* and OTEL_EXPORTER_OTLP_*.
"""

from __future__ import annotations

import asyncio
import os
from contextvars import ContextVar
from importlib.metadata import entry_points, version
from threading import Thread

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from config.trace_context import TraceContext

CLOSE_MAX_S = 3.0
"""Longest wait for the last export. A collector that is away must not hold up a stop."""

EXPORTERS = "opentelemetry_traces_exporter"
"""The entry points in which packages of OpenTelemetry offer their exporters."""

PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}

root_trace_id: ContextVar[int | None] = ContextVar("root_trace_id", default=None)
"""The trace id that the next root span of this task gets. None for a random one."""


class _Ids(RandomIdGenerator):
    """Random ids, but for the root spans of flushes."""

    def generate_trace_id(self) -> int:
        """Return the id for a root span."""
        return root_trace_id.get() or super().generate_trace_id()


class SpanMaker:
    """Makes the spans of one process and exports them."""

    def __init__(self, exporters: str) -> None:
        """`exporters` are names as in OTEL_TRACES_EXPORTER. Raises ValueError for one that is not installed."""
        self.provider = TracerProvider(resource=_resource(), id_generator=_Ids(), shutdown_on_exit=False)
        self.tracer = self.provider.get_tracer("debouncer", version("debouncer"))
        for name in filter(None, map(str.strip, exporters.split(","))):
            self.provider.add_span_processor(BatchSpanProcessor(_exporter(name)))

    async def close(self) -> None:
        """Export what is left, for CLOSE_MAX_S at most."""
        closing = Thread(target=self.provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, CLOSE_MAX_S)


def _resource() -> Resource:
    own = {SERVICE_NAME: "debouncer", SERVICE_VERSION: version("debouncer")}
    return Resource.create({**own, **OTELResourceDetector().detect().attributes})


def _exporter(name: str) -> SpanExporter:
    name = _otlp_name() if name == "otlp" else name
    for found in entry_points(group=EXPORTERS, name=name):
        exporter: SpanExporter = found.load()()
        return exporter
    raise ValueError(f"no installed package of OpenTelemetry has the exporter {name!r:.60}")


def _otlp_name() -> str:
    protocol = next(filter(None, map(os.environ.get, PROTOCOLS)), "http/protobuf").strip()
    if protocol not in OTLP:
        raise ValueError(f"{PROTOCOLS[1]}={protocol:.60} is not one of {', '.join(OTLP)}")
    return OTLP[protocol]


def span_context_of(context: TraceContext) -> SpanContext:
    """Return a trace context in the form of OpenTelemetry."""
    state = TraceState.from_header([context.state]) if context.state else None
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), True, flags, state)


def trace_context_of(context: SpanContext) -> TraceContext:
    """Return the place of a span of ours, as it is stored and sent."""
    trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return TraceContext(trace_id, span_id, context.trace_flags.sampled, context.trace_state.to_header())
