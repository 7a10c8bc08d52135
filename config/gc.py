"""Keeps the pauses of the Python interpreter short: garbage collections, and switches between threads.

A collection of all objects stopped the worker's event loop for 80 ms, and every flush with it.
"""

from __future__ import annotations

import gc
import sys

WORKER_THRESHOLDS = (15_000, 50, 100)
"""Two hundred flushes in flight are fewer objects than the first threshold, so they come and go without a collection.

They leave no reference cycles, not even the failed ones (`drop_tracebacks` in worker/agent_errors.py). Full collections
are rare: the objects in flight survive them, and their cost grows with the number of these objects.
"""

WEBHOOK_THRESHOLDS = (50_000, 20, 20)
"""Requests leave no reference cycles, and a collection would delay all requests of the process."""

WORKER_SWITCH_S = 0.0005
"""How long RQ's thread may keep the event loop from running. The default of 5 ms counts for each step of the loop."""


def tune_worker_gc() -> None:
    """Freeze the current objects, collect rarely, and switch threads often. Call once, after start-up."""
    freeze_and_raise_thresholds(WORKER_THRESHOLDS)
    sys.setswitchinterval(WORKER_SWITCH_S)


def tune_webhook_gc() -> None:
    """Freeze the current objects and collect rarely. Call once, after start-up."""
    freeze_and_raise_thresholds(WEBHOOK_THRESHOLDS)


def freeze_and_raise_thresholds(thresholds: tuple[int, int, int]) -> None:
    """Exclude all current objects from later garbage collections, and set the thresholds of the generations."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*thresholds)
