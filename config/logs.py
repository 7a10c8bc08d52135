"""Structured logs: one event per line, JSON or coloured, with masked phone numbers and no message texts at INFO."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.settings import Settings
from config.trace_context import trace_id_of

MASKED = ("peer", "conversation", "sender", "participant")
"""Fields that hold a phone number or an id made of one."""

PHONE = re.compile(r"\d{8,}")

WRITTEN_PHONE = re.compile(r"\d(?:[ ().+-]{0,2}\d){7,}")
"""Eight digits and more, also those that are written in groups."""

STARS_MAX = 20
"""Stars in a masked number."""

NAME_MAX = 100
"""Characters of a channel's name in a log."""

NOISY = ("httpx", "httpcore", "aiohttp", "asyncio", "uvicorn.access")
"""Loggers of libraries from which only warnings are logged."""


def mask(identity: str) -> str:
    """Replace the middle of a phone number or chat id by stars. The rest is enough to recognise a conversation."""
    if len(identity) <= 6:
        return "*" * len(identity)
    shown = f"{identity[:4]}{'*' * min(max(3, len(identity) - 6), STARS_MAX)}{identity[-2:]}"
    return shown if shown.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in shown)


def mask_phones(name: str) -> str:
    """Shorten a channel's name and mask phone numbers in it: some gateways name a channel by its number."""
    return WRITTEN_PHONE.sub(lambda found: mask(found[0]), name)[:NAME_MAX]


class _Stderr:
    """Writes events to stderr. If that fails (reader gone, disk full), the event is lost and the process goes on."""

    def write(self, text: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush stderr."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def configure_logs(settings: Settings) -> None:
    """Write the events of this service, uvicorn and RQ to stderr through one renderer."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_pid,
        _add_trace_id,
        _mask_fields,
    ]
    render: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
        if as_json
        else [
            # structlog's default prints the variables of each frame too, and with them texts, numbers and tokens
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    level = logging.getLevelNamesMapping()[settings.log_level]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=True,
    )
    _route_stdlib(shared, render, level)


def _route_stdlib(shared: list[Processor], render: list[Processor], level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _add_pid(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the process id, because several processes write to one log."""
    event["pid"] = os.getpid()
    return event


def _add_trace_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the trace id to what is about a flush. It is that of the headers which the agent and the gateway get."""
    flush_id = event.get("flush_id")
    if isinstance(flush_id, str):
        event["trace_id"] = trace_id_of(flush_id)
    return event


def _mask_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for field in MASKED:
        if isinstance(event.get(field), str):
            event[field] = mask(event[field])
    if isinstance(event.get("channel"), str):
        event["channel"] = mask_phones(event["channel"])
    return event


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def get_logger() -> Any:
    """Return the logger of the service. Fields are keyword arguments."""
    return structlog.get_logger()
