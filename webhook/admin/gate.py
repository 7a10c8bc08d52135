"""The gate in front of the admin API: it lets nobody in before their token, or their address, is checked.

It stands outside FastAPI, which reads a body before it asks who sent it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.log_limiter import LogLimiter
from config.logs import get_logger
from webhook.admin.auth import is_admin
from webhook.responses import HTTPError, http_error_response, send_response

PREFIXES = ("/conversations", "/flushes", "/dead-letters", "/replies")
"""The first parts of the paths of the admin API."""

ACCESS = "debouncer.admin"
"""Key of the Access of a request in its scope."""

BODY_MAX = 65_536
"""Bytes of a body: 1,000 ids of dead letters."""

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

    def __init__(self, app: ASGIApp, admin_token: SecretStr | None) -> None:
        self._app = app
        self._admin_token = admin_token
        self._refusals: LogLimiter[str] = LogLimiter(REFUSALS_EVERY_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        if not is_admin_path(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            scope[ACCESS] = self._access(scope)
            check_declared_size(scope)
        except HTTPError as error:
            await send_response(send, http_error_response(error))
            return
        await self._app(scope, _Bounded(receive), send)

    def _access(self, scope: Scope) -> Access:
        """Return who asks. Raises HTTPError if they may not."""
        origin = scope["client"][0] if scope.get("client") else "?"
        if is_admin(scope["headers"], origin, self._admin_token):
            return Access(origin, self._admin_token is not None)
        if told := self._refusals.add(origin):
            log.warning("admin API: refused", refused=told, path=scope["path"].split("/")[1], **{"from": origin})
        if self._admin_token is None:
            raise HTTPError(403, "forbidden", FORBIDDEN)
        raise HTTPError(401, "unauthorized", UNAUTHORIZED, [(b"www-authenticate", b"Bearer")])


class _Bounded:
    """Receives a body of at most BODY_MAX bytes. Of a larger one the rest reads as empty, so it is no JSON."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = BODY_MAX

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left >= 0 or message["type"] != "http.request":
            return message
        return {"type": "http.request", "body": b"\0", "more_body": False}


def is_admin_path(path: str) -> bool:
    """Return True for a path of the admin API."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in PREFIXES)


def check_declared_size(scope: Scope) -> None:
    """Raise HTTPError (413) for a body that is said to be too large."""
    headers: dict[bytes, Any] = dict(scope["headers"])
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 9 or int(declared) > BODY_MAX:
        raise HTTPError(413, "too_large", f"a body of the admin API has at most {BODY_MAX} bytes")
