"""Logs an outage: when it begins, once a minute while it lasts, and when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from config.logs import get_logger

REPEAT_S = 60.0

log = get_logger()


class Outage:
    """One thing that may fail for long. `clock` is for tests."""

    def __init__(self, failing: str, over: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._failing = failing
        self._over = over
        self._clock = clock
        self._since: float | None = None
        self._logged_at = 0.0
        self._error = ""

    def fails(self, error: BaseException) -> None:
        """Note a failure."""
        self._error = str(error) or type(error).__name__
        if self._since is None:
            self._since = self._clock()
            self._log()
        else:
            self.lasts()

    def lasts(self) -> None:
        """Note that the outage is not over, without a new error."""
        if self._since is not None and self._clock() - self._logged_at >= REPEAT_S:
            self._log()

    def works(self) -> None:
        """Note a success."""
        if self._since is not None:
            log.info(self._over, after_s=round(self._clock() - self._since, 1))
            self._since = None

    def _log(self) -> None:
        self._logged_at = self._clock()
        log.warning(self._failing, error=self._error, for_s=round(self._logged_at - (self._since or 0.0)))
