"""Start the gateway of a measurement, and read its counts."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator

from benchmarks.figures import Meaningless
from benchmarks.machine import OTHER_CORE, free_port, process, python, wait_for_port

REPLY_RATE = "1000"
"""Messages a second that a channel sends: the most that the setting allows."""


class Gateway:
    """A running gateway program."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.settings = {"EVOLUTION_URL": self._url, "EVOLUTION_API_KEY": "k", "REPLY_RATE": REPLY_RATE}
        """The environment variables of a worker that sends its replies here."""

    def check(self, messages: int, typings: int) -> None:
        """Raise Meaningless unless it was asked for exactly these messages, and at least for these indicators."""
        with urllib.request.urlopen(f"{self._url}/counts", timeout=10) as response:
            counts: dict[str, int] = json.load(response)
        if counts["messages"] != messages or counts["typings"] < typings:
            expected = f"{messages} messages and {typings} typing indicators"
            raise Meaningless(f"the gateway was asked for {counts}, not for {expected}")


@contextlib.contextmanager
def running_gateway() -> Iterator[Gateway]:
    """Run a gateway on the load's core."""
    port = free_port()
    with process(python("benchmarks.programs.gateway", port), OTHER_CORE):
        wait_for_port(port)
        yield Gateway(port)
