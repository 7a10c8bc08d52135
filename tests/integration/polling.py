"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

WITHIN_S = 45.0
"""Far above what anything here takes: a busy machine is no failure, something that never comes is one."""

LOOK_EVERY_S = 0.02


def until(what: str, condition: Callable[[], object], within_s: float = WITHIN_S) -> None:
    """Wait until the condition holds; fails with `what` when it never does."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"after {within_s:g} s still not true: {what}"
        time.sleep(LOOK_EVERY_S)
