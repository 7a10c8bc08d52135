"""Durations, moments, shares and counts as the page writes them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from buffer.insight_models import BOUNDS_MS


def duration_text(duration_ms: float | None) -> str:
    """Return `420 ms`, `3.2 s`, `2 min 05 s`, `3 h 10 min` or `4 d`. None is a dash."""
    if duration_ms is None:
        return "–"
    if duration_ms < 1000:
        return f"{duration_ms:.0f} ms"
    return f"{duration_ms / 1000:.1f} s" if duration_ms < 59_950 else _long_text(round(duration_ms / 1000))


def _long_text(seconds: int) -> str:
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
    return f"{seconds // 86_400} d"


def at_most_text(bound_ms: float, histogram: str) -> str:
    """Return a bound of a histogram as `≤ 10 s`, and as `> 60 s` above its last one."""
    sign, known_ms = ("≤", bound_ms) if math.isfinite(bound_ms) else (">", BOUNDS_MS[histogram][-2])
    return f"{sign}\u00a0{known_ms / 1000:g}\u00a0s"


def short_text(duration_ms: float | None) -> str:
    """Return a duration with its largest unit only, for ages that need no precision."""
    if duration_ms is None or duration_ms >= 86_400_000:
        return duration_text(duration_ms)
    seconds = max(0, int(duration_ms // 1000))
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h"


def count_text(number: int) -> str:
    """Return a number with a narrow space between its thousands."""
    return f"{number:,}".replace(",", "\u202f")


def share_text(share: float | None) -> str:
    """Return a share in per cent. None is a dash."""
    return "–" if share is None else f"{share * 100:.1f} %"


def ratio_text(number: float | None) -> str:
    """Return a number with two places. None is a dash."""
    return "–" if number is None else f"{number:.2f}"


def moment_text(moment_ms: int) -> str:
    """Return a moment in UTC, in the form of ISO 8601 that `<time>` wants."""
    try:
        return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return "1970-01-01T00:00:00Z"
