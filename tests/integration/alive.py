"""Whether a process that is not a child of the test still lives."""

from __future__ import annotations

from pathlib import Path


def running(pid: int) -> bool:
    """Whether a process lives; one that has ended and that nobody has buried yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"
