"""Whether this process makes spans, from the standard OTEL_* names, and what makes them.

OpenTelemetry is an extra (`debouncer[otel]`), and nothing of it is imported unless a name asks for spans.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from config.logs import get_logger

if TYPE_CHECKING:
    from config.otel import SpanMaker

EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
DISABLED = "OTEL_SDK_DISABLED"
PREFIX = "OTEL_"

log = get_logger()


def open_spans(env_file: str | None = ".env") -> SpanMaker | None:
    """Return what makes the spans of this process, or None if no name of the environment or of `.env` asks for them.

    Spans are no reason not to start: what is missing or wrong is logged, and the process works without them.
    """
    _take_over(env_file, os.environ)
    wanted = wanted_by(os.environ)
    if wanted is None:
        return None
    try:
        from config.otel import SpanMaker
    except ImportError as error:
        log.warning(
            f"{wanted} is set, but OpenTelemetry is not installed, so no spans are made; "
            "install it (`pip install 'debouncer[otel]'`), or unset the name",
            missing=error.name,
        )
        return None
    try:
        return SpanMaker(os.environ.get(EXPORTER) or "otlp")
    except Exception as error:
        log.error(f"no spans are made: {error}; see {wanted} and the other {PREFIX} names")
        return None


def wanted_by(environ: MutableMapping[str, str]) -> str | None:
    """Return the name that asks for spans: an exporter, or an address to export to. None if spans are not wanted."""
    if environ.get(DISABLED, "").strip().lower() == "true":
        return None
    exporter = environ.get(EXPORTER, "").strip().lower()
    if exporter == "none":
        return None
    return EXPORTER if exporter else next((name for name in ENDPOINTS if environ.get(name)), None)


def _take_over(env_file: str | None, environ: MutableMapping[str, str]) -> None:
    """Take the OTEL_ names of `.env` into the environment, where alone OpenTelemetry reads them."""
    for name, value in dotenv_values(env_file, encoding="utf-8").items() if env_file else ():
        if name.startswith(PREFIX) and value is not None:
            environ.setdefault(name, value)
