"""The listening socket, opened before any process starts, and the addresses that reach it."""

from __future__ import annotations

import errno
import socket

from config.settings import SettingsError

BACKLOG = 2048
"""Connections that wait to be accepted."""

WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""The hosts that mean every address of this machine, with the loopback address that reaches each."""


def bind_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket. Port 0 takes any free port. Raises SettingsError with a way out."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # With SO_REUSEADDR, two sockets may bind one port until one of them listens: only listen() finds a taken port.
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SettingsError(_refusal(host, port, error)) from None
    return listener


def own_address(host: str) -> str:
    """Return the address at which this machine reaches a listener bound to `host`."""
    return WILDCARDS.get(host, host)


def url_of(host: str, port: int) -> str:
    """Return the http:// address of a host and port, with brackets around an IPv6 host."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refusal(host: str, port: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"PORT={port}: another program already listens on {host}:{port}. "
            f"Stop it, or choose another port: --port {port + 1}"
        )
    if number in (errno.EACCES, errno.EPERM):
        return f"PORT={port}: this user may not listen on it. Choose a port above 1023: --port 8000"
    if number == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"HOST={host}: this machine has no such address. Use 127.0.0.1 for this machine only, or 0.0.0.0 for all"
    return f"HOST={host}, PORT={port}: cannot listen there: {error}"
