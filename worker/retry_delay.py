"""How long a failed attempt waits for the next one."""

from __future__ import annotations

import random

from config.settings import Settings

JITTER = 0.2
"""The largest share by which a retry delay is made shorter or longer at random."""

DOUBLINGS_MAX = 32


def backoff_ms(settings: Settings, failures: int) -> int:
    """Return RETRY_BASE, doubled with each failure before, at most RETRY_MAX, and changed by JITTER."""
    delay_s = min(settings.retry_base * 2.0 ** min(failures, DOUBLINGS_MAX), settings.retry_max)
    return int(delay_s * random.uniform(1 - JITTER, 1 + JITTER) * 1000)  # noqa: S311
