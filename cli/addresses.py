"""Addresses as people and this machine use them."""

from __future__ import annotations

from buffer.transport.clients import redact_url

WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def own_address(host: str) -> str:
    """The address at which this machine itself reaches what listens on `host`."""
    return WILDCARDS.get(host, host)


def url_of(host: str, port: int) -> str:
    """The http:// address of a host and port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def display_url(url: str) -> str:
    """A URL for people and logs: its password and its query, which may hold one, are hidden."""
    place, query, _ = redact_url(url).partition("?")
    return place + ("?***" if query else "")
