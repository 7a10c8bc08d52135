"""The leases of one process: renewed together while agents are called. A lost lease ends the call under it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from buffer.errors import StoreError, StoreUnavailable
from buffer.keys import Ref
from buffer.models import Outcome
from buffer.store import Store
from config.killpoints import kill_point
from config.settings import Settings

RENEW_RETRY_S = 0.5
"""Delay before a renewal that failed is tried again."""

CHECKS_PER_INTERVAL = 10
"""Checks for due leases in one renewal interval. Leases that are due within a tenth of it share a script call."""


class LeaseEnded(Exception):
    """The lease was lost or cancelled, or its batch superseded; `outcome` says which."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome


@dataclass(slots=True, eq=False)
class Lease:
    """The lease of one batch. It is renewed while the body of `with lease` runs, once or several times in turn.

    Times are those of the event loop, in seconds. `cancelling` is the number of cancellations that `holder` had before
    it entered.
    """

    leases: Leases
    ref: Ref
    token: str
    until: float
    renew_at: float = math.inf
    holder: asyncio.Task[object] | None = None
    cancelling: int = 0
    end: Outcome | StoreError | None = None

    def __enter__(self) -> Lease:
        """Begin to renew. Raises LeaseEnded if the process was frozen, or Redis away, for the time of a lease."""
        self.holder = asyncio.current_task()
        if self.holder is None:
            raise RuntimeError("a lease is held by a task")
        if not self.is_live():
            raise self.error()
        self.cancelling = self.holder.cancelling()
        self.leases.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Turn the cancellation that the end of the lease caused into LeaseEnded or StoreError; let others pass."""
        self.leases.remove(self)
        if kind is None or not issubclass(kind, asyncio.CancelledError) or self.end is None or self.holder is None:
            return
        # As in `asyncio.timeout`: if others have cancelled the holder too, their cancellation must go on.
        if self.holder.uncancel() <= self.cancelling:
            raise self.error() from None

    def error(self) -> LeaseEnded | StoreError:
        """Return the error that says how the lease ended."""
        return self.end if isinstance(self.end, StoreError) else LeaseEnded(self.end or Outcome.LOST)

    def is_live(self) -> bool:
        """Return True if no other worker can have the batch: the last renewal is younger than FLUSH_LEASE."""
        return self.end is None and asyncio.get_running_loop().time() < self.until


class Leases:
    """Renews any number of leases from one task, which runs only while leases are held."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._lease_s = settings.flush_lease
        self._interval_s = settings.flush_renew_interval
        self._held: set[Lease] = set()
        self._renewals: set[asyncio.Task[None]] = set()
        self._renewer: asyncio.Task[None] | None = None

    def of(self, ref: Ref, token: str, claimed_at: float) -> Lease:
        """Return the lease of a batch that was claimed at this time of the event loop.

        The body of `with lease` is ended with LeaseEnded, or with StoreError if the lease cannot be renewed.
        """
        return Lease(self, ref, token, claimed_at + self._lease_s)

    def add(self, lease: Lease) -> None:
        """Begin to renew a lease."""
        lease.renew_at = asyncio.get_running_loop().time() + self._interval_s
        self._held.add(lease)
        if self._renewer is None:
            self._renewer = asyncio.create_task(self._renew_due())

    def remove(self, lease: Lease) -> None:
        """Stop to renew a lease."""
        self._held.discard(lease)

    async def renew_all(self) -> None:
        """Renew every lease now, and wait until each renewal has ended."""
        for lease in [lease for lease in self._held if lease.renew_at != math.inf]:
            self._start_renewal(lease)
        if self._renewals:
            await asyncio.wait(set(self._renewals))

    def renew_at_once(self, ref: Ref) -> None:
        """Renew the lease of a conversation now, if it is held here: its batch may have been taken back.

        Another renewal that is under way may have been answered before that.
        """
        for lease in [lease for lease in self._held if lease.ref == ref]:
            self._start_renewal(lease)

    async def _renew_due(self) -> None:
        try:
            while self._held:
                await asyncio.sleep(self._interval_s / CHECKS_PER_INTERVAL)
                now = asyncio.get_running_loop().time()
                for lease in [lease for lease in self._held if lease.renew_at <= now]:
                    self._start_renewal(lease)
        finally:
            self._renewer = None

    def _start_renewal(self, lease: Lease) -> None:
        """Renew in a task of its own: the calls still go out together, and one that hangs delays no other."""
        kill_point("worker_during_call")
        lease.renew_at = math.inf
        renewal = asyncio.create_task(self._renew(lease))
        self._renewals.add(renewal)
        renewal.add_done_callback(self._renewals.discard)

    async def _renew(self, lease: Lease) -> None:
        """Renew the lease. End it if the store says so, or if Redis was away for as long as the lease lasts."""
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
                return
            lease.until = asked_at + self._lease_s
            lease.renew_at = loop.time() + self._interval_s

    def _end(self, lease: Lease, end: Outcome | StoreError) -> None:
        """End the lease. Cancel the holder, unless it has left the lease meanwhile."""
        if lease.end is not None:
            return
        lease.end = end
        if lease in self._held and lease.holder is not None:
            lease.holder.cancel()
