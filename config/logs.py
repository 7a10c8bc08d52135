"""Structured logs: one event per line, JSON or coloured, phone numbers masked, never a message's text at INFO."""

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

MASKED = ("peer", "conversation", "sender", "participant")
"""Fields that hold a phone number or an id made of one."""

PHONE = re.compile(r"\d{8,}")
STARS_MAX = 20
NAME_MAX = 100

NOISY = ("httpx", "httpcore", "aiohttp", "asyncio", "uvicorn.access")


def mask(identity: str) -> str:
    """Hide the middle of a phone number or chat id: enough stays to recognise a conversation in a log."""
    if len(identity) <= 6:
        return "*" * len(identity)
    shown = f"{identity[:4]}{'*' * min(max(3, len(identity) - 6), STARS_MAX)}{identity[-2:]}"
    return shown if shown.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in shown)


def mask_phones(name: str) -> str:
    """A name that can be long, or hold a phone number: some gateways name a channel by its number."""
    return PHONE.sub(lambda found: mask(found[0]), name[:NAME_MAX])


class _Stderr:
    """Where events go: when their reader is gone or the disk is full they are lost, and everything else goes on."""

    def write(self, text: str) -> None:
        """Write a line, or lose it."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Pass it on."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def configure_logs(settings: Settings) -> None:
    """Send our events and those of uvicorn and RQ through one renderer, to stderr."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_pid,
        _mask_fields,
    ]
    render: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
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
    """Many processes write to one log; their lines must be told apart."""
    event["pid"] = os.getpid()
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
    """The logger of the service; fields are keyword arguments."""
    return structlog.get_logger()
