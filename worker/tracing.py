"""The place of a flush in its trace: the headers that its requests carry, and the steps that may be spans.

The trace id follows from the flush_id, so all attempts of a flush are in one trace. Each attempt has its own span id.
worker/flush_spans.py has the same classes with the spans of OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol, Self

from buffer.models import Batch
from config.trace_context import TraceContext, read_stored, trace_id_of, traceparent

NO_HEADERS: Mapping[str, str] = {}


class Around(Protocol):
    """A context manager that swallows no error."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class Step(Around, Protocol):
    """One request of a flush, as a context manager around it."""

    def ended(self, outcome: str, problem: str | None = None) -> None:
        """Note how the request ended. `problem` is for people, and None if there was none."""


class Place(Protocol):
    """Where a task stands in a trace."""

    headers: Mapping[str, str]

    def step(self, name: str) -> Step:
        """Return a step below this place."""


class FlushTrace(Around, Protocol):
    """One attempt of a flush, as a context manager around it."""

    def ended(self, result: str) -> str:
        """Note the result word of the attempt, and return it."""


class _NoStep:
    """A step that nobody records."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Do nothing."""

    def ended(self, outcome: str, problem: str | None = None) -> None:
        """Do nothing."""


NO_STEP = _NoStep()


class _Nowhere:
    """The place of a task that flushes nothing."""

    headers = NO_HEADERS

    def step(self, name: str) -> Step:
        """Return a step that nobody records."""
        return NO_STEP


place: ContextVar[Place] = ContextVar("place", default=_Nowhere())  # noqa: B039 - it never changes
"""Where this task stands."""


def trace_headers() -> Mapping[str, str]:
    """Return the headers of the trace context for a request of this task. Empty outside a flush."""
    return place.get().headers


def step(name: str) -> Step:
    """Return a step of the flush of this task."""
    return place.get().step(name)


class _NoTrace:
    """A flush that is in no trace. Its requests carry nothing, and it costs nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Do nothing."""

    def ended(self, result: str) -> str:
        """Return the result word."""
        return result


NO_TRACE = _NoTrace()


class _PlainTrace:
    """One attempt of a flush without OpenTelemetry. It makes no spans, and gives its requests their `traceparent`."""

    __slots__ = ("_before", "headers")

    def __init__(self, batch: Batch, *, sampled: bool) -> None:
        span_id = batch.token.rpartition(":")[2]  # the random id with which the worker claimed
        parent = traceparent(trace_id_of(batch.flush_id), span_id, sampled)
        self.headers: Mapping[str, str] = {"traceparent": parent}

    def __enter__(self) -> Self:
        self._before = place.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        place.reset(self._before)

    def step(self, name: str) -> Step:
        """Return a step that nobody records."""
        return NO_STEP

    def ended(self, result: str) -> str:
        """Return the result word."""
        return result


def trace_without_spans(batch: Batch) -> FlushTrace:
    """Return the trace of an attempt without OpenTelemetry: none if no message of the batch brought a trace context.

    The trace is sampled if a request that brought one of the messages was.
    """
    contexts = list(contexts_of(batch))
    return _PlainTrace(batch, sampled=any(context.sampled for context in contexts)) if contexts else NO_TRACE


def contexts_of(batch: Batch) -> Iterator[TraceContext]:
    """Yield the trace contexts of the messages of a batch. Those that cannot be read are left out."""
    for message in batch.messages:
        if message.trace is not None and (context := read_stored(message.trace)) is not None:
            yield context
