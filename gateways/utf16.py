"""Counts text as gateways do that think in UTF-16."""

from __future__ import annotations


def utf16_size(text: str) -> int:
    """Return the number of UTF-16 units of a text: two for most emoji, one for other characters."""
    return len(text) + sum(sign > "\uffff" for sign in text)
