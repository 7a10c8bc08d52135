"""A collector that keeps the spans it gets over OTLP, in protobuf over HTTP."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """An HTTP server in a thread of its own."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The address for OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[Span]:
        """The spans of a name, in the order of their arrival."""
        return [span for span in list(self.spans) if span.name == name]

    def take(self, body: bytes) -> None:
        """Keep what one export brings."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = attributes_of(resource.resource)
            self.services.add(str(attributes["service.name"]))
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    collector.take(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Write nothing."""

        return Handler


def attributes_of(thing: Any) -> dict[str, str | int]:
    """The attributes of a span or a resource: texts and numbers."""
    values = {one.key: one.value for one in thing.attributes}
    return {name: value.string_value or value.int_value for name, value in values.items()}
