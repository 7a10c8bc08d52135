"""What the errors of Dify mean, by status and code."""

from __future__ import annotations

from agents.results import AgentFailure, doubt, later, misconfigured, refused

BROKEN_APP = frozenset(
    {
        "app_unavailable",
        "not_chat_app",
        "provider_not_initialize",
        "provider_quota_exceeded",
        "model_currently_not_support",
        "agent_not_published",
        "rate_limit_error",
        "unauthorized",
    }
)
"""Codes that somebody has to mend in Dify. To try again does not help."""

LOCKED = frozenset({401, 403, 404, 405})
CUT = frozenset({502, 504, 524})
UNPUBLISHED = ("blocking", "streaming", "draft", "not published")


def dify_failure(status: int, code: str, message: str) -> AgentFailure:
    """Return the failure for an error of Dify, in a response or in an event of a stream."""
    error = f"Dify answered {status}" + (f" ({code[:60]})" if code else "")
    if code in BROKEN_APP or status in LOCKED or 300 <= status < 400:
        return misconfigured(f"{error}: {_advice(status, code)}")
    if status in (400, 422) and code != "completion_request_error":
        if any(word in message.lower() for word in UNPUBLISHED):
            return misconfigured(f"{error}: publish the app in Dify")
        return refused(f"{error}: it does not take this burst")
    if status in (413, 415):
        return refused(f"{error}: it does not take the file")
    return doubt(f"{error}: a proxy on the way stopped waiting") if status in CUT else later(error)


def _advice(status: int, code: str) -> str:
    if code in BROKEN_APP and code != "unauthorized":
        return "mend the app, its model or its quota in Dify"
    return "AGENT_KEY is not a key of this app" if status in (401, 403) else "AGENT_URL must be Dify's API (…/v1)"
