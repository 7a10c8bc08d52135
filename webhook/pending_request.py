"""A webhook request that waits for the results of its appends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from buffer.models import Append, Appended
from gateways.base import Gateway
from webhook.append_counts import count_results
from webhook.channel_rules import LeftOutPart
from webhook.request_log import RequestLog
from webhook.responses import Counts, Response, error_response, success_response

Respond = Callable[[Response], None]


class Spans(Protocol):
    """Makes a span for each authentic request (webhook/append_spans.py)."""

    def begin(self, request: PendingRequest) -> None:
        """Begin a span that ends with the response. Its messages are stored with its context."""


class PendingRequest:
    """A request that waits for its results. It calls `respond` exactly once."""

    __slots__ = ("_log", "_respond", "_responded", "appends", "gateway", "left_out", "trace")

    def __init__(self, gateway: Gateway, respond: Respond, log: RequestLog) -> None:
        self.gateway = gateway
        self._respond = respond
        self._log = log
        self._responded = False
        self.appends: Sequence[Append] = ()
        self.left_out: Sequence[LeftOutPart] = ()
        self.trace: str | None = None

    def when_responded(self, tell: Respond) -> None:
        """Give the response to `tell` as well, after the caller of `Ingest.handle`."""
        respond = self._respond

        def respond_and_tell(response: Response) -> None:
            respond(response)
            tell(response)

        self._respond = respond_and_tell

    def done(self) -> bool:
        """Return True if the response was given, for example because Redis did not answer in time."""
        return self._responded

    def set_result(self, results: Sequence[Appended]) -> None:
        """Respond with the results of the appends. An error must not reach the other requests of the same call."""
        try:
            counts = count_results(self.appends, results, self._log)
            if self.left_out:
                counts = self._add_left_out(counts)
            self.respond(success_response(self.gateway, counts))
        except Exception as error:
            self.set_exception(error)

    def _add_left_out(self, counts: Counts) -> Counts:
        for reason, shape in self.left_out:
            self._log.left_out.ignore(self.gateway.name, reason, shape)
        return counts._replace(ignored=counts.ignored + len(self.left_out))

    def set_exception(self, error: Exception) -> None:
        """Log a failure, then respond with its status."""
        self._log.log_failure(self.gateway, error)
        self.respond(error_response(error, self.gateway))

    def respond(self, response: Response) -> None:
        """Give the response to the caller of `Ingest.handle`, unless it has one."""
        if not self._responded:
            self._responded = True
            self._respond(response)
