"""Start the agent of a measurement and read its report."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

from benchmarks.figures import Meaningless, Spread
from benchmarks.machine import OTHER_CORE, free_port, process, python, wait_for_port, wait_until


class Agent:
    """A running agent program."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/"

    @property
    def calls(self) -> int:
        """Return the number of calls since the last reset."""
        return int(self._get("/calls"))

    def reset(self) -> None:
        """Delete the agent's counts."""
        self._get("/reset")

    def wait_idle(self) -> None:
        """Wait until every call is answered. Raises Meaningless after 60 s."""
        wait_until(lambda: self._get_report()["in_flight"] == 0, "the agent did not answer all of its calls", 60.0, 0.1)

    def report(self, flushes: int, within_s: float = 60.0) -> Report:
        """Return the report after this many calls. Raises Meaningless if calls are missing or repeated."""
        wait_until(lambda: self.calls >= flushes, f"the agent did not get its {flushes} calls", within_s, 0.1)
        report = Report(self._get_report())
        if report.calls != flushes or report.distinct != flushes:
            raise Meaningless(f"{flushes} flushes led to {report.calls} calls of {report.distinct} flush ids")
        return report

    def _get_report(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self._get("/report"))
        return fields

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read()


class Report:
    """The calls that an agent has received."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.calls: int = fields["calls"]
        self.distinct: int = fields["distinct"]
        self.peak: int = fields["peak"]
        self.took_s: float = fields["last_s"] - fields["first_s"]
        self.lateness_ms: list[float] = fields["lateness_ms"]

    @property
    def lateness(self) -> Spread:
        """Return the milliseconds from the deadline to the moment at which the agent had read the request."""
        return Spread.of(self.lateness_ms)


@contextlib.contextmanager
def running_agent(delay_s: float = 0.0, reply: str = "") -> Iterator[Agent]:
    """Run an agent on the load's core. It answers each call after `delay_s`, with a reply or without."""
    port = free_port()
    with process(python("benchmarks.programs.agent", port, delay_s, reply), OTHER_CORE):
        wait_for_port(port)
        yield Agent(port)
