"""Labels: a channel's name without the phone number that may be in it."""

from __future__ import annotations

from functools import lru_cache

from config.logs import mask_phones

OTHER = "(other)"
"""Stands for the gateway and channel of the channels that are counted together."""


@lru_cache(4096)
def label_of(name: str) -> str:
    """Return the label for a gateway or channel. Channels whose numbers look the same when masked share a label."""
    return mask_phones(name) or OTHER
