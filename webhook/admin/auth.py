"""Who may use the paths for operators: with ADMIN_TOKEN its bearer or a session, without one this machine only.

No other header gives access. One that a proxy or a browser adds shows that the client is elsewhere, and takes it
away.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, ip_address

from pydantic import SecretStr

from gateways.credentials import secrets_equal
from webhook.admin.sessions import SAFE_METHODS, is_own_page, is_session, session_of

ScopeHeaders = Iterable[tuple[bytes, bytes]]
"""The headers of an ASGI scope: lower-case names, with their values."""

BEARER = "bearer "

PROXY_HEADERS = frozenset({b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip"})
"""Headers by which a proxy tells of its client, besides `X-Forwarded-…`."""


OWN_SITE = (b"same-origin", b"none")
"""What a browser writes into `Sec-Fetch-Site` for our own page, and for an address that was typed in."""


def has_token(scope_headers: ScopeHeaders, admin_token: SecretStr | None) -> bool:
    """Return True if the request carries ADMIN_TOKEN as its bearer. The comparison takes the same time for all."""
    given = _by_name(scope_headers).get(b"authorization", b"").decode("latin-1")
    is_bearer = given[: len(BEARER)].lower() == BEARER
    return is_bearer and secrets_equal(given[len(BEARER) :].strip(), admin_token)


def has_session(
    scope_headers: ScopeHeaders, admin_token: SecretStr | None, method: str, *, takes_links: bool = False
) -> bool:
    """Return True if a browser is signed in. What changes something must come from a page of this service."""
    headers = _by_name(scope_headers)
    is_allowed = _may_read(headers, takes_links) if method in SAFE_METHODS else is_own_page(headers)
    return is_allowed and is_session(session_of(headers), admin_token, time.time())


def is_admin(
    scope_headers: ScopeHeaders,
    peer: str | None,
    admin_token: SecretStr | None,
    method: str = "GET",
    *,
    takes_links: bool = False,
) -> bool:
    """Return True if the request may use the paths for operators.

    `peer` is the address at the other end of the socket, None if it has none. With `takes_links`, a link on another
    site may lead here: that site does not see the answer, so it suits what only shows something.
    """
    headers = _by_name(scope_headers)
    if admin_token is not None:
        is_signed_in = has_session(headers.items(), admin_token, method, takes_links=takes_links)
        return is_signed_in or has_token(headers.items(), admin_token)
    is_direct = is_loopback(peer) and not any(map(_is_of_proxy, headers))
    return is_direct and _names_loopback(headers.get(b"host", b"")) and _may_read(headers, takes_links)


def is_link(headers: Mapping[bytes, bytes]) -> bool:
    """Return True if a browser follows a link of another site, or is led here by it, in a window of its own."""
    is_page = headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
    return is_page and b"origin" not in headers and headers.get(b"sec-fetch-site", b"none") not in OWN_SITE


def _may_read(headers: Mapping[bytes, bytes], takes_links: bool) -> bool:
    return not _is_from_another_site(headers) or (takes_links and is_link(headers))


def _is_from_another_site(headers: Mapping[bytes, bytes]) -> bool:
    """Return True if a browser says that a page from elsewhere sends the request: anyone can write such a page.

    Elsewhere is also another port of this machine.
    """
    if headers.get(b"sec-fetch-site", b"none") not in OWN_SITE:
        return True
    origin, host = headers.get(b"origin"), headers.get(b"host", b"")
    return origin is not None and origin.lower() not in (b"http://" + host.lower(), b"https://" + host.lower())


def is_loopback(peer: str | None) -> bool:
    """Return True for an address of this machine itself."""
    try:
        address = ip_address(peer or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _by_name(scope_headers: ScopeHeaders) -> Mapping[bytes, bytes]:
    return dict(scope_headers)


def _is_of_proxy(name: bytes) -> bool:
    return name in PROXY_HEADERS or name.startswith(b"x-forwarded-")


def _names_loopback(host: bytes) -> bool:
    """Return True if the host that the client asked for is this machine.

    A page of another site can have its own name lead here, and would read the answer.
    """
    name = host.decode("latin-1")
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    return name.lower() == "localhost" or is_loopback(name)
