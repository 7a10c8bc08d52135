"""Who may use the paths for operators: with ADMIN_TOKEN its bearer, without one this machine only.

A header never gives access. One that a proxy or a browser adds shows that the client is elsewhere, and takes it away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, ip_address

from pydantic import SecretStr

from gateways.credentials import secrets_equal

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


def is_admin(scope_headers: ScopeHeaders, peer: str | None, admin_token: SecretStr | None) -> bool:
    """Return True if the request may use the paths for operators.

    `peer` is the address at the other end of the socket, None if it has none.
    """
    headers = _by_name(scope_headers)
    if admin_token is not None:
        return has_token(headers.items(), admin_token)
    is_direct = is_loopback(peer) and not any(map(_is_of_proxy, headers))
    return is_direct and _names_loopback(headers.get(b"host", b"")) and not _is_from_another_site(headers)


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
