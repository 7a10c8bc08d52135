"""Whether a process makes spans: the standard names decide, and nothing of OpenTelemetry is loaded without them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from structlog.testing import capture_logs

from config import otel
from config.otel import SpanMaker
from config.tracing import open_spans, wanted_by

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
NOWHERE = "http://127.0.0.1:1"
OFF = """
import sys
import webhook.app, worker.job, worker.process
print([name for name in ("config.otel", "opentelemetry.exporter", "opentelemetry.sdk.trace") if name in sys.modules])
"""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Change the environment and the folder of this test only."""
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "bot"}, None),
        ({ENDPOINT: NOWHERE}, ENDPOINT),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": NOWHERE}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: NOWHERE}, None),
        ({"OTEL_SDK_DISABLED": "TRUE", ENDPOINT: NOWHERE}, None),
        ({ENDPOINT: ""}, None),
    ],
)
def test_what_asks_for_spans(names: dict[str, str], wanted: str | None):
    """An exporter or an address asks, and the SDK's own switches refuse."""
    assert wanted_by(names) == wanted


def test_nothing_is_loaded_without_a_wish():
    """Webhook and worker import none of what makes spans and exports them."""
    done = subprocess.run([sys.executable, "-c", OFF], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_no_name_no_spans(environment: pytest.MonkeyPatch):
    """Without any of the names nothing is made, and nothing is said."""
    with capture_logs() as lines:
        assert open_spans() is None
    assert lines == []


async def test_spans_that_are_wanted(environment: pytest.MonkeyPatch):
    """An address is enough. The service has a name, which OTEL_SERVICE_NAME replaces."""
    environment.setenv(ENDPOINT, NOWHERE)
    spans = open_spans()
    assert spans is not None
    assert spans.provider.resource.attributes["service.name"] == "debouncer"
    environment.setenv("OTEL_SERVICE_NAME", "bot")
    named = SpanMaker("")
    assert named.provider.resource.attributes["service.name"] == "bot"
    await asyncio.gather(spans.close(), named.close())


async def test_names_in_the_file(environment: pytest.MonkeyPatch, tmp_path: Path):
    """`.env` may hold them, and the environment goes before it."""
    (tmp_path / ".env").write_text(f"{ENDPOINT}={NOWHERE}\nOTEL_SERVICE_NAME=file\nPORT=1\n", encoding="utf-8")
    environment.setenv("OTEL_SERVICE_NAME", "shell")
    environment.setenv(ENDPOINT, "set, so that it is restored after the test")
    environment.delenv(ENDPOINT)
    spans = open_spans()
    assert spans is not None
    assert spans.provider.resource.attributes["service.name"] == "shell"
    await spans.close()


def test_the_extra_is_missing(environment: pytest.MonkeyPatch):
    """It is said once, with the name that asks for it and what to install, and the process goes on."""
    environment.setenv("OTEL_TRACES_EXPORTER", "otlp")
    environment.setitem(sys.modules, "config.otel", None)
    with capture_logs() as lines:
        assert open_spans() is None
    (line,) = lines
    assert line["log_level"] == "warning"
    assert "OTEL_TRACES_EXPORTER is set" in line["event"]
    assert "debouncer[otel]" in line["event"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "exporter 'jaeger'"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_PROTOCOL="),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "exporter 'otlp_proto_grpc'"),
    ],
)
def test_an_exporter_that_is_not_there(environment: pytest.MonkeyPatch, names: dict[str, str], said: str):
    """It is an error with the value in it, and the process goes on without spans."""
    for name, value in names.items():
        environment.setenv(name, value)
    with capture_logs() as lines:
        assert open_spans() is None
    (line,) = lines
    assert line["log_level"] == "error"
    assert said in line["event"]


def test_several_exporters(environment: pytest.MonkeyPatch):
    """OTEL_TRACES_EXPORTER is a list, of any exporters that are installed."""
    found = [otel._exporter(name) for name in ("console", "otlp")]
    assert isinstance(found[0], ConsoleSpanExporter)
    assert type(found[1]).__name__ == "OTLPSpanExporter"
    assert SpanMaker(" console , otlp,") is not None


async def test_a_collector_that_hangs_holds_up_no_stop(environment: pytest.MonkeyPatch):
    """`close` returns although the last export has not ended."""
    environment.setattr(otel, "CLOSE_MAX_S", 0.05)
    released, ended = threading.Event(), threading.Event()
    spans = SpanMaker("")

    def hang() -> None:
        released.wait(10)
        ended.set()

    environment.setattr(spans.provider, "shutdown", hang)
    await spans.close()
    assert not ended.is_set()
    released.set()
