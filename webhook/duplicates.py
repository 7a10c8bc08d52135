"""The duplicates that this process has seen since it told Redis of them: a bounded number."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from buffer.duplicates import note_duplicates
from buffer.models import Append, Appended, Conversation
from buffer.store import Store

HELD_MAX = 100
"""Duplicates of a second that are told. A flood shows as a flood with these, too."""


class Duplicates:
    """Collects duplicates, and sends them."""

    def __init__(self) -> None:
        self._found: deque[tuple[Conversation, float]] = deque(maxlen=HELD_MAX)

    def add(self, appends: Sequence[Append], results: Sequence[Appended]) -> None:
        """Note the duplicates of a request."""
        now_s = time.monotonic()
        for append, result in zip(appends, results, strict=True):
            if result.status == "duplicate":
                self._found.append((append.conversation, now_s))

    async def send(self, store: Store) -> None:
        """Tell Redis of those that were noted. They are lost if it does not answer. Raises StoreError."""
        found, now_s = list(self._found), time.monotonic()
        self._found.clear()
        if found:
            await note_duplicates(store, [(store.ref(who), round((now_s - at_s) * 1000)) for who, at_s in found])
