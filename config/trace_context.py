"""The W3C trace context: read from the headers of a request, kept with its messages, sent with a flush.

It needs no OpenTelemetry. Headers that break a rule of https://www.w3.org/TR/trace-context/ are ignored, as it asks.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from functools import lru_cache
from typing import NamedTuple, Protocol

PARENT_MAX = 512
"""Characters of a `traceparent` that are looked at. Version 00 has 55, and a later version may have more."""

STATE_MAX = 512
"""Characters of a `tracestate` that are kept. Members that go beyond are left out, the last ones first."""

STATE_MEMBERS_MAX = 32

PARENT = re.compile(r"[ \t]*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?[ \t]*")
MEMBER = re.compile(
    r"([a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
NO_TRACE_ID, NO_SPAN_ID = "0" * 32, "0" * 16
SAMPLED = 1
"""The flag that says that a span was recorded. Version 00 defines no other."""


class HeaderFields(Protocol):
    """Header fields by their names in lower case."""

    def get(self, name: str, default: str, /) -> str:
        """Return one header field, or `default` if it is absent."""


class TraceContext(NamedTuple):
    """A place in a trace: the trace, the span that a request came from, whether that was recorded, and `tracestate`."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""

    @property
    def parent(self) -> str:
        """Return the header `traceparent`."""
        return traceparent(self.trace_id, self.span_id, self.sampled)

    def stored(self) -> str:
        """Return the text that is stored with a message."""
        return f"{self.parent} {self.state}" if self.state else self.parent


def trace_of(headers: HeaderFields) -> str | None:
    """Return what is stored of the trace context of a request, or None if it has no valid one."""
    parent = headers.get("traceparent", "")
    context = read_context(parent, headers.get("tracestate", "")) if parent else None
    return context.stored() if context else None


def read_context(parent: str, state: str = "") -> TraceContext | None:
    """Return the trace context of two headers, or None if `traceparent` is not valid. A bad `tracestate` is empty."""
    found = PARENT.fullmatch(parent) if len(parent) <= PARENT_MAX else None
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or trace_id == NO_TRACE_ID or span_id == NO_SPAN_ID:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & SAMPLED), _valid_state(state) if state else "")


def read_stored(text: object) -> TraceContext | None:
    """Return the trace context that is stored with a message, or None without a readable one."""
    if not isinstance(text, str):
        return None
    parent, _, state = text.partition(" ")
    return read_context(parent, state)


def _valid_state(state: str) -> str:
    if len(state) > STATE_MAX:
        state = state[: STATE_MAX + 1].rpartition(",")[0]
    members = [member for piece in state.split(",") if (member := piece.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    is_valid = len(keys) == len(members) <= STATE_MEMBERS_MAX and all(map(MEMBER.fullmatch, members))
    return ",".join(members) if is_valid else ""


def traceparent(trace_id: str, span_id: str, sampled: bool) -> str:
    """Return the header `traceparent` in version 00."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"


@lru_cache(1024)
def trace_id_of(flush_id: str) -> str:
    """Return the trace id of a flush. It follows from the flush_id, so all attempts are in one trace."""
    return hashlib.blake2b(flush_id.encode(), digest_size=16).hexdigest()


def new_span_id() -> str:
    """Return a random span id."""
    return secrets.token_hex(8)
