"""A listening socket, taken before anything else is started, and sentences for when that fails."""

from __future__ import annotations

import errno
import socket

from config.settings import SettingsError

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address, port 0 for any free one; raises SettingsError that says what is in the way."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Two sockets may bind the same port as long as neither listens: only this settles whose it is.
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SettingsError(_sentence(host, port, error)) from None
    return listener


def _sentence(host: str, port: int, error: Exception) -> str:
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
