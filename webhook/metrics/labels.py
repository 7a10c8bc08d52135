"""Labels: a channel's name without the phone number that may be in it."""

from __future__ import annotations

import re
from functools import lru_cache

from config.logs import NAME_MAX, mask

NUMBER = re.compile(r"\d(?:[ ().+-]{0,2}\d){7,}")
"""Eight digits and more, also those that are written in groups."""

OTHER = "(other)"
"""Stands for the gateway and channel of the channels that are counted together."""


@lru_cache(4096)
def label_of(name: str) -> str:
    """Return the label for a gateway or channel. Channels whose numbers look the same when masked share a label."""
    return NUMBER.sub(lambda found: mask(found[0]), name)[:NAME_MAX] or OTHER
