"""Sessions of browsers: a cookie that stands for ADMIN_TOKEN until it expires. No process keeps a list of them.

The cookie is `<expiry in s>.<random>.<HMAC of both>`, with a key that is made of ADMIN_TOKEN. So every process can
check it, and another ADMIN_TOKEN ends all sessions.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import SecretStr

COOKIE = "debouncer_session"
SESSION_S = 12 * 3600
"""Seconds for which a session lasts."""

COOKIE_MAX = 4096
"""Bytes of the header `Cookie` that are read."""

SAFE_METHODS = ("GET", "HEAD")


def new_session(admin_token: SecretStr, now_s: float) -> str:
    """Return the cookie of a new session."""
    signed = f"{int(now_s) + SESSION_S}.{secrets.token_urlsafe(12)}"
    return f"{signed}.{_signature(signed, admin_token)}"


def is_session(cookie: str, admin_token: SecretStr | None, now_s: float) -> bool:
    """Return True for a cookie of this ADMIN_TOKEN that has not expired."""
    signed, _, signature = cookie.rpartition(".")
    if admin_token is None or not admin_token.get_secret_value() or not cookie.isascii():
        return False
    if not hmac.compare_digest(signature, _signature(signed, admin_token)):
        return False
    expires_s = signed.partition(".")[0]
    return expires_s.isdigit() and now_s < int(expires_s)


def session_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the cookie of the session, '' if there is none."""
    pairs = (
        pair.strip().partition("=") for pair in headers.get(b"cookie", b"")[:COOKIE_MAX].decode("latin-1").split(";")
    )
    return next((value for name, _, value in pairs if name == COOKIE), "")


def is_own_page(headers: Mapping[bytes, bytes]) -> bool:
    """Return True if a browser says that a page of this very service sends the request.

    A browser always tells it for a method that changes something: by Sec-Fetch-Site, or over plain HTTP by Origin.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site == b"same-origin"
    origin, host = headers.get(b"origin", b"").decode("latin-1"), headers.get(b"host", b"").decode("latin-1")
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _signature(signed: str, admin_token: SecretStr) -> str:
    key = hashlib.sha256(b"debouncer session\0" + admin_token.get_secret_value().encode()).digest()
    return hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
