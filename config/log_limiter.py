"""Limits log lines: one for each key and interval, with the number of events since the last."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class LogLimiter(Generic[K]):
    """Counts events by key, and says when a line is due and how many events it stands for."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._last_s: dict[K, float] = {}
        self._untold: dict[K, int] = {}

    def add(self, key: K, count: int = 1) -> int:
        """Count events. Return how many a line must tell now, or 0 if the key had its line in this interval."""
        untold = self._untold.pop(key, 0) + count
        if self._is_due(key):
            self._last_s[key] = self._clock()
            return untold
        self._untold[key] = untold
        return 0

    def due(self, *, everything: bool = False) -> Iterator[tuple[K, int]]:
        """Yield the keys whose untold events may be told now, with their number. `everything`: all of them."""
        for key in [key for key in self._untold if everything or self._is_due(key)]:
            self._last_s[key] = self._clock()
            yield key, self._untold.pop(key)

    def has_untold(self) -> bool:
        """Return True if events wait for a line."""
        return bool(self._untold)

    def _is_due(self, key: K) -> bool:
        last_s = self._last_s.get(key)
        return last_s is None or self._clock() - last_s >= self._every_s
