"""The print of a text: 8 bytes by which an echo of it is recognised."""

from __future__ import annotations

from buffer.keys import fingerprint_of

PRINT_SIZE = 8

NO_PRINT = bytes(PRINT_SIZE)
"""The print of a part without a text. It is equal to that of no text."""


def normalise(text: str) -> str:
    """Return the text as gateways send it back: without the white space around it, and with `\\n` as line end."""
    return text.replace("\r\n", "\n").strip()


def print_of(text: str | None) -> bytes:
    """Return the print of a text or caption. Returns NO_PRINT for None and for white space alone."""
    normal = normalise(text or "")
    return fingerprint_of(normal) if normal else NO_PRINT
