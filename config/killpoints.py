"""Named points at which a process kills itself, to test crashes (DEBOUNCER_KILL_AT)."""

from __future__ import annotations

import os
import signal

POINTS = (
    "webhook_before_append",
    "webhook_after_append",
    "worker_after_dispatch",
    "worker_after_enqueue",
    "worker_after_dequeue",
    "worker_after_claim",
    "worker_during_call",
    "worker_after_call",
    "worker_after_answered",
    "worker_after_superseded",
    "worker_after_taken_back",
    "worker_before_part",
    "worker_after_part_marked",
    "worker_after_part_sent",
    "worker_after_ack",
)

_armed: str | None = None


def arm(point: str | None) -> None:
    """Choose the point at which this process kills itself. Raises ValueError for an unknown point."""
    global _armed
    if point is not None and point not in POINTS:
        raise ValueError(f"DEBOUNCER_KILL_AT={point} is not one of {', '.join(POINTS)}")
    _armed = point


def kill_point(point: str) -> None:
    """Kill this process with SIGKILL if this point was chosen."""
    if _armed == point:
        os.kill(os.getpid(), signal.SIGKILL)
