"""The check of AGENT_URL: what its server says to a HEAD request, which calls no workflow."""

from __future__ import annotations

import base64
import http.client
import ssl
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from buffer.transport.server_checks import CheckResult
from cli.redis_errors import CONTAINER
from cli.terminal import redact_url

REPLY_TIMEOUT_S = 3.0
HTML = ("text/html", "application/xhtml")
"""Content types of pages for people."""


class HeadReply(NamedTuple):
    """What the agent's server said to HEAD."""

    status: int
    content_type: str
    location: str


def check_agent(url: str | None) -> CheckResult:
    """Return the result for AGENT_URL. An agent that is away is a warning, because bursts wait for it."""
    if url is None:
        return CheckResult("problem", "agent", "AGENT_URL is not set: it is the address that bursts are sent to")
    parts = urlsplit(url)
    if "/webhook-test/" in parts.path:
        test, production = "/webhook-test/", "/webhook/"
        return CheckResult(
            "warning",
            "agent",
            f"AGENT_URL has {test}: n8n answers there only while its editor listens; "
            f"use the production address ({production}) and switch the workflow on",
        )
    try:
        reply = _head(parts)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return CheckResult("warning", "agent", f"{_place(parts)}: {_unreachable(error)}")
    return _result(parts, reply)


def _result(parts: SplitResult, reply: HeadReply | None) -> CheckResult:
    place = _place(parts)
    if reply is None:
        return CheckResult("ok", "agent", f"{place} accepts connections (it did not answer HEAD; no burst was sent)")
    if 300 <= reply.status < 400:
        target = f" to {redact_url(reply.location)}" if reply.location else ""
        return CheckResult(
            "warning",
            "agent",
            f"{place} redirects{target} ({reply.status}), which is not followed: set AGENT_URL to the final address",
        )
    if reply.status < 300 and reply.content_type.lower().startswith(HTML):
        return CheckResult(
            "warning",
            "agent",
            f"{place}{parts.path} answers with an HTML page, as a login or an editor does: is AGENT_URL the address of "
            "the webhook? A page is accepted as an answer without a reply",
        )
    return CheckResult("ok", "agent", f"{place} answers (HEAD: {reply.status}; no burst was sent)")


def _head(parts: SplitResult) -> HeadReply | None:
    """Send HEAD. Return None if the server accepts the connection and does not answer it in HTTP."""
    connection = _connection(parts)
    try:
        connection.connect()
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("HEAD", path, headers=_login(parts))
            reply = connection.getresponse()
        except (OSError, http.client.HTTPException):
            return None
        return HeadReply(reply.status, reply.getheader("Content-Type", ""), reply.getheader("Location", ""))
    finally:
        connection.close()


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, parts.port, timeout=REPLY_TIMEOUT_S, context=context)
    return http.client.HTTPConnection(host, parts.port, timeout=REPLY_TIMEOUT_S)


def _login(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def _place(parts: SplitResult) -> str:
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _unreachable(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        reason = f"no agent listens there (connection refused; {CONTAINER})"
    elif isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its TLS certificate is not trusted here ({error.verify_message})"
    elif isinstance(error, ssl.SSLError):
        reason = "it does not speak TLS; is it http:// instead of https://?"
    elif isinstance(error, TimeoutError):
        reason = f"no connection within {REPLY_TIMEOUT_S:g} s"
    else:
        reason = str(error) or type(error).__name__
    return f"{reason}; bursts will wait for it"
