"""The RQ jobs of the baselines."""

from __future__ import annotations

import http.client


def nothing() -> None:
    """Do nothing, to measure the cost of RQ alone."""


def call_agent(port: int, flush_id: str, deadline_ms: int) -> None:
    """Call the agent for a deadline."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/", b'{"flush_id":"%b","closed_ms":%d}' % (flush_id.encode(), deadline_ms))
    connection.getresponse().read()
    connection.close()
