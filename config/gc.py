"""The interpreter's own pauses, kept short: one collection of all objects held every flush up for 80 ms."""

from __future__ import annotations

import gc
import sys

COLLECT_AFTER = (15_000, 50, 100)
"""Some two hundred flushes in flight are fewer objects, so they come and go without a collection.

They leave no cycles, the failed ones included (`agent._let_go`). Full collections are rare: what is in flight survives
them anyway, and their cost grows with it.
"""

SWITCH_S = 0.0005
"""How long RQ's thread may keep the loop from running; the default of 5 ms counts for each of the loop's steps."""


def tune_worker_gc() -> None:
    """Call once when everything is built: what is there by then stays, and is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    sys.setswitchinterval(SWITCH_S)
