"""The leases of one process: renewed together while agents think; a lease that is gone ends the call it covers."""

from __future__ import annotations

import asyncio
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass

from buffer.errors import StoreError, StoreUnavailable
from buffer.keys import Ref
from buffer.models import Outcome
from buffer.store import Store
from config.killpoints import kill_point
from config.settings import Settings

RENEW_RETRY_S = 0.5

CHECKS_PER_INTERVAL = 10
"""Looks in one renewal interval: leases that are due within a tenth of it share a script call."""


class LeaseEnded(Exception):
    """The lease is lost or cancelled."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome


@dataclass(slots=True, eq=False)
class _Lease:
    """A context: held while its body runs."""

    held: set[_Lease]
    ref: Ref
    token: str
    until: float
    renew_at: float
    holder: asyncio.Task[object]
    cancelling: int
    end: Outcome | StoreError | None = None

    def __enter__(self) -> None:
        self.held.add(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Tell the end of the lease, which cancelled the body, from any other cancellation."""
        self.held.discard(self)
        if kind is None or not issubclass(kind, asyncio.CancelledError) or self.end is None:
            return
        if self.holder.uncancel() <= self.cancelling:
            raise LeaseEnded(self.end) if isinstance(self.end, Outcome) else self.end from None


class Leases:
    """One task keeps any number of leases, and none while there is none to keep."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._lease_s = settings.flush_lease
        self._interval_s = settings.flush_renew_interval
        self._held: set[_Lease] = set()
        self._renewals: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    def hold(self, ref: Ref, token: str, claimed_at: float) -> AbstractContextManager[None]:
        """Keep a lease while the body runs; raises LeaseOver in it, or StoreError when it cannot be renewed.

        A process that was frozen between the claim and now may hold nothing any more: it does not even begin.
        """
        holder = asyncio.current_task()
        if holder is None:
            raise RuntimeError("a lease is kept by a task")
        until, now = claimed_at + self._lease_s, holder.get_loop().time()
        if now >= until:
            raise LeaseEnded(Outcome.LOST)
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._renew_due())
        return _Lease(self._held, ref, token, until, now + self._interval_s, holder, holder.cancelling())

    async def _renew_due(self) -> None:
        try:
            while self._held:
                await asyncio.sleep(self._interval_s / CHECKS_PER_INTERVAL)
                now = asyncio.get_running_loop().time()
                for lease in [lease for lease in self._held if lease.renew_at <= now]:
                    self._begin(lease)
        finally:
            self._keeper = None

    def _begin(self, lease: _Lease) -> None:
        """Each waits for itself: the calls go out together, and one that hangs holds up no other."""
        kill_point("worker_during_call")
        lease.renew_at = math.inf
        renewal = asyncio.create_task(self._renew(lease))
        self._renewals.add(renewal)
        renewal.add_done_callback(self._renewals.discard)

    async def _renew(self, lease: _Lease) -> None:
        """Renew, or end what is lost or cancelled, or may be over because Redis is away."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        try:
            outcome = await self._store.renew(lease.ref, lease.token)
        except StoreUnavailable:
            if loop.time() >= lease.until:
                self._end(lease, Outcome.LOST)
            lease.renew_at = loop.time() + RENEW_RETRY_S
        except StoreError as error:
            self._end(lease, error)
        else:
            if outcome is not Outcome.OK:
                self._end(lease, outcome)
            lease.until = asked_at + self._lease_s
            lease.renew_at = loop.time() + self._interval_s

    def _end(self, lease: _Lease, end: Outcome | StoreError) -> None:
        """Whoever has left the lease meanwhile is not disturbed."""
        if lease in self._held and lease.end is None:
            lease.end = end
            lease.holder.cancel()
