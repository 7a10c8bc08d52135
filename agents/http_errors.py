"""What HTTP statuses mean that no kind has a row of its own for."""

from __future__ import annotations

import email.utils
import time

from agents.base import AgentResponse
from agents.results import LOCKED_STATUSES, AgentFailure, doubt, later, misconfigured, refused

DEAD_STATUSES = frozenset({400, 413, 415, 422})
"""HTTP statuses that reject this very batch: it becomes a dead letter (docs/invariants.md#retry)."""

CUT_STATUSES = frozenset({502, 504, 524})
"""HTTP statuses of a proxy that stopped waiting. The agent may have run."""


def http_failure(response: AgentResponse, advice: str = "") -> AgentFailure:
    """Return the failure for a status. `advice` is a sentence for those that need a setting changed."""
    status = response.status
    error = f"the agent answered {status}"
    if status in LOCKED_STATUSES or 300 <= status < 400:
        return misconfigured(f"{error}: {advice or hint(status)}")
    if status in DEAD_STATUSES:
        return refused(error)
    if status in CUT_STATUSES:
        return doubt(f"{error}: a proxy on the way stopped waiting")
    return later(error, retry_after(response.headers.get("retry-after", "")))


def hint(status: int) -> str:
    """Return where to look."""
    if status in (401, 403):
        return "it does not take AGENT_KEY"
    if status == 405:
        return "it takes no POST at AGENT_URL"
    return "AGENT_URL is not its address" if status == 404 else "it redirects, which is not followed"


def retry_after(value: str) -> float | None:
    """Convert Retry-After, a number or an HTTP date (RFC 9110), to seconds from now. Return None if unreadable."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
