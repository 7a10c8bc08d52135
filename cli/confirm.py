"""Questions before what cannot be undone."""

from __future__ import annotations

import sys


def says_yes(question: str) -> bool:
    """Ask on the terminal. Return False where nobody can answer."""
    print(question, end="", file=sys.stderr, flush=True)
    try:
        return input().strip().lower() in ("y", "yes")
    except EOFError:
        print(file=sys.stderr)
        return False
