"""The agent of a measurement, and what it has seen."""

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
        """How many calls have come since the last reset."""
        return int(self._ask("/calls"))

    def reset(self) -> None:
        """Forget what has come."""
        self._ask("/reset")

    def wait_idle(self) -> None:
        """Wait until every call is answered."""
        wait_until(lambda: self._told()["in_flight"] == 0, "the agent did not answer all of its calls", 60.0, 0.1)

    def report(self, flushes: int, within_s: float = 60.0) -> Report:
        """Wait for so many calls; raises Meaningless when they do not come, or when some came twice."""
        wait_until(lambda: self.calls >= flushes, f"the agent did not get its {flushes} calls", within_s, 0.1)
        report = Report(self._told())
        if report.calls != flushes or report.distinct != flushes:
            raise Meaningless(f"{flushes} flushes led to {report.calls} calls of {report.distinct} flush ids")
        return report

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._ask("/report"))
        return told

    def _ask(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read()


class Report:
    """What an agent has seen."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.calls: int = told["calls"]
        self.distinct: int = told["distinct"]
        self.peak: int = told["peak"]
        self.took_s: float = told["last_s"] - told["first_s"]
        self.lateness_ms: list[float] = told["lateness_ms"]

    @property
    def lateness(self) -> Spread:
        """Milliseconds from the deadline to the moment at which the agent had the request."""
        return Spread.of(self.lateness_ms)


@contextlib.contextmanager
def running_agent(delay_s: float = 0.0) -> Iterator[Agent]:
    """An agent on the load's core."""
    port = free_port()
    with process(python("benchmarks.programs.agent", port, delay_s), OTHER_CORE):
        wait_for_port(port)
        yield Agent(port)
