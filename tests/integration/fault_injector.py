"""Something that strikes again and again while a test goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType


class FaultInjector:
    """Calls `inject` every `every_s` seconds in a thread until the block is left; its error fails the test."""

    def __init__(self, inject: Callable[[], object], every_s: float) -> None:
        self.injections = 0
        self._inject = inject
        self._every_s = every_s
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def has_injected(self, count: int) -> bool:
        """Whether `inject` has returned this often; raises the error that has ended the thread."""
        if self._error is not None:
            raise self._error
        return self.injections >= count

    def __enter__(self) -> FaultInjector:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._over.wait(self._every_s):
                self._inject()
                self.injections += 1
        except BaseException as error:
            self._error = error
