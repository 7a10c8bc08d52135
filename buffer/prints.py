"""The print of a part's text: by it an echo without an id of ours is recognised."""

from __future__ import annotations

from buffer.keys import fingerprint_of

PRINT_SIZE = 8
"""Bytes of one print."""

NO_PRINT = bytes(PRINT_SIZE)
"""The print of a part without text: nothing matches it."""


def print_of(text: str | None) -> bytes:
    """Return the print of a text. Blanks around it, and the kind of its line feeds, do not count."""
    normalised = (text or "").replace("\r\n", "\n").strip()
    return fingerprint_of(normalised) if normalised else NO_PRINT
