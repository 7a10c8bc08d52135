"""A process that ends when the one that started it is gone (on Linux; elsewhere it runs until it is stopped)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

# Found here and not in end_with, which runs between fork and exec.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def terminate_with_parent(parent: int) -> None:
    """Have this process get SIGTERM when its parent process dies, or now if it is dead already."""
    if _PRCTL is None:
        return
    _PRCTL(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
