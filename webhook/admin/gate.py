"""The gate in front of the admin API: it lets nobody in before their token, or their address, is checked.

It stands outside FastAPI, which reads a body before it asks who sent it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.log_limiter import LogLimiter
from config.logs import get_logger
from webhook.admin.auth import has_token, is_admin
from webhook.responses import HTTPError, http_error_response, send_response

PREFIXES = ("/conversations", "/flushes", "/dead-letters", "/replies", "/agents")
"""The first parts of the paths of the admin API."""

ACCESS = "debouncer.admin"
"""Key of the Access of a request in its scope."""

BODY_MAX = 65_536
"""Bytes of a body: 1,000 ids of dead letters."""

ANSWER_MAX = 1_048_576
"""Bytes of an answer that an agent posts: as many as of an answer to a call."""

CUT = b"\0"
"""The last byte of a body that was cut because it is too large."""

REFUSALS_EVERY_S = 60.0
"""Least seconds between two log lines about refused requests."""

UNAUTHORIZED = "send the ADMIN_TOKEN of this service as `Authorization: Bearer …`"
FORBIDDEN = "ADMIN_TOKEN is not set, so only this machine may ask, and without a proxy; set it and send it as a bearer"

log = get_logger()


class Access(NamedTuple):
    """From where a request comes, and whether it may see numbers, names and texts: only with ADMIN_TOKEN."""

    origin: str
    sees_all: bool


class AdminGate:
    """Passes the requests that may use the admin API on to an application, and all others that are not for it."""

    def __init__(self, app: ASGIApp, admin_token: SecretStr | None, answer_token: SecretStr | None = None) -> None:
        self._app = app
        self._admin_token = admin_token
        self._answer_token = answer_token
        self._refusals: LogLimiter[str] = LogLimiter(REFUSALS_EVERY_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        if not is_admin_path(scope["path"]):
            await self._app(scope, receive, send)
            return
        body_max = ANSWER_MAX if is_answer(scope) else BODY_MAX
        try:
            scope[ACCESS] = self._access(scope)
            check_declared_size(scope, body_max)
        except HTTPError as error:
            await send_response(send, http_error_response(error))
            return
        await self._app(scope, _Bounded(receive, body_max), send)

    def _access(self, scope: Scope) -> Access:
        """Return who asks. Raises HTTPError if they may not."""
        origin = scope["client"][0] if scope.get("client") else "?"
        if is_answer(scope) and self._answer_token is not None and has_token(scope["headers"], self._answer_token):
            return Access(origin, False)
        if is_admin(scope["headers"], origin, self._admin_token, scope["method"]):
            return Access(origin, self._admin_token is not None)
        if told := self._refusals.add(origin):
            log.warning("admin API: refused", refused=told, path=scope["path"].split("/")[1], **{"from": origin})
        if self._admin_token is None:
            raise HTTPError(403, "forbidden", FORBIDDEN)
        raise HTTPError(401, "unauthorized", UNAUTHORIZED, [(b"www-authenticate", b"Bearer")])


class _Bounded:
    """Receives a body of at most `body_max` bytes. Of a larger one the rest reads as CUT, so it is no JSON."""

    def __init__(self, receive: Receive, body_max: int) -> None:
        self._receive = receive
        self._left = body_max

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left >= 0 or message["type"] != "http.request":
            return message
        return {"type": "http.request", "body": CUT, "more_body": False}


def is_admin_path(path: str) -> bool:
    """Return True for a path of the admin API."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in PREFIXES)


def is_answer(scope: Scope) -> bool:
    """Return True for a request with which an agent posts its answer."""
    path: str = scope["path"]
    return scope.get("method") == "POST" and path.startswith("/flushes/") and path.endswith("/answer")


def too_large(body_max: int) -> HTTPError:
    """Return the error for a body of more bytes."""
    return HTTPError(413, "too_large", f"a body of this path has at most {body_max} bytes")


def check_declared_size(scope: Scope, body_max: int = BODY_MAX) -> None:
    """Raise HTTPError (413) for a body that is said to be too large."""
    headers: dict[bytes, Any] = dict(scope["headers"])
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 9 or int(declared) > body_max:
        raise too_large(body_max)
