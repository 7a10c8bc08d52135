"""RQ jobs of the baselines."""

from __future__ import annotations

import http.client


def nothing() -> None:
    """RQ's own floor."""


def call_agent(port: int, flush_id: str, deadline_ms: int) -> None:
    """Tell the agent that a deadline has come."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/", b'{"flush_id":"%b","closed_ms":%d}' % (flush_id.encode(), deadline_ms))
    connection.getresponse().read()
    connection.close()
