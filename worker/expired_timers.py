"""Conversations whose timer key has expired although nobody dispatches them: their wake entry is lost."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.store import Store
from config.logs import get_logger
from config.settings import Settings

CHECK_DELAY_S = 0.25
"""Delay from an expired timer key to the check. Meanwhile a dispatcher with an intact index takes the conversation."""

REMEMBER_S = 2.0
"""How long this process remembers what it has dispatched. An event that comes later costs one look at the index."""

log = get_logger()


class ExpiredTimers:
    """Checks conversations against the wake index, many in one call, and puts lost entries back."""

    def __init__(self, store: Store, settings: Settings, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake
        # The timer of the next burst cannot expire before a window has passed.
        self._remember_s = min(REMEMBER_S, settings.auto_min if settings.is_auto else settings.window_s)
        self._dispatched: set[Ref] = set()
        self._dispatched_before: set[Ref] = set()
        self._began_at = 0.0
        self._expired: set[Ref] = set()
        self._check: asyncio.Task[None] | None = None

    def dispatched(self, refs: Iterable[Ref]) -> None:
        """Note conversations that this process has dispatched."""
        self._forget_old()
        self._dispatched.update(refs)

    def expired(self, ref: Ref) -> None:
        """Note that a timer key has expired."""
        self._forget_old()
        if ref in self._dispatched or ref in self._dispatched_before:
            return
        self._expired.add(ref)
        if self._check is None:
            self._check = asyncio.create_task(self._check_soon())

    def _forget_old(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._began_at > self._remember_s / 2:
            fresh = now - self._began_at < self._remember_s
            self._dispatched_before = self._dispatched if fresh else set()
            self._dispatched, self._began_at = set(), now

    async def _check_soon(self) -> None:
        await asyncio.sleep(CHECK_DELAY_S)
        expired, self._expired, self._check = self._expired, set(), None
        groups: dict[int, list[str]] = defaultdict(list)
        for ref in expired:
            groups[ref.partition].append(ref.hash)
        try:
            for partition, hashes in groups.items():
                if put_back := await self._store.restore(partition, hashes):
                    log.warning("wake index repaired", partition=partition, put_back=put_back, dropped=0)
                    self._wake()
        except StoreError as error:
            log.debug("expired timers are not checked", error=str(error))
