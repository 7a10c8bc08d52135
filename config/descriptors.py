"""File descriptors: how many a process may open, and how many of them its connections may take."""

from __future__ import annotations

import resource

KEPT_SHARE = 8
"""One in so many descriptors is kept for Redis, files and the listener."""

KEPT_MIN = 32


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one, and return the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS names a hard limit that it refuses as a soft one
        return soft
    return hard


def connections_max(descriptors: int) -> int:
    """Return how many client connections leave some descriptors for everything else."""
    return max(1, descriptors - max(KEPT_MIN, descriptors // KEPT_SHARE))
