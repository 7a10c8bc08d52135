"""The upkeep: repairs the wake index, deletes idle conversations, adds up counts, and notices other deployments."""

from __future__ import annotations

import asyncio
import socket

import redis.exceptions as rx

from buffer.errors import StoreError
from buffer.insights import Insights
from buffer.owner_store import Owners
from buffer.store import CONVERSATIONS_PER_SWEEP, Store
from config.logs import get_logger
from config.settings import Settings

EVERY_S = 60.0
"""Time between two sweeps of idle conversations, and between two checks whether a repair is due."""

REPAIR_EVERY_S = 3600
"""Time between two repairs that no event caused and that find nothing, for all workers together."""

REPAIR_AGAIN_S = 55
"""After a repair that a start, a reconnect or an earlier find caused, others skip theirs for this time. It is less than
EVERY_S, so that the worker that found something repairs in each of its rounds."""

FOLD_EVERY_S = 2.0
"""Time between two rounds that add up what append has counted, so that append has not to do it itself. Where nothing
was counted, a round is one command for each partition."""

RESTS = 4
"""The repair rests 4 times as long as each call took. It uses at most a fifth of the server, and takes minutes for a
million conversations."""

REST_S = 0.005
"""Pause between two calls that delete idle conversations."""

log = get_logger()


class Upkeep:
    """Repairs and sweeps. Each worker process has one, and a key in Redis keeps them from repairing twice."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._owners = Owners(store)
        self._insights = Insights(store)
        self._partitions = settings.redis_partitions
        self._guard = store.keys.prefix + ":repaired"
        self._wanted = asyncio.Event()
        self._conflict: str | None = None

    def request_repair(self) -> None:
        """Repair soon. Called when the server may have lost its last writes (restart, failover)."""
        self._wanted.set()

    async def run(self) -> None:
        """Repair, sweep and add counts up until cancelled."""
        await asyncio.gather(self._repair_and_sweep(), self._fold_forever())

    async def _repair_and_sweep(self) -> None:
        guard_s = REPAIR_AGAIN_S
        found = False
        while True:
            try:
                await self._announce()
                found = await self._repair(guard_s, found)
                await self._sweep()
            except (StoreError, rx.RedisError, OSError) as error:
                log.debug("upkeep put off", error=str(error))
            guard_s = await self._wait()
            if found:
                guard_s = REPAIR_AGAIN_S

    async def _fold_forever(self) -> None:
        """Have counts added up. Any number of workers may: each count is added once."""
        while True:
            try:
                await self._insights.fold()
            except StoreError as error:
                log.debug("adding up counts put off", error=str(error))
            await asyncio.sleep(FOLD_EVERY_S)

    async def retire(self) -> None:
        """Sign off: this worker no longer counts as one of its deployment."""
        await self._owners.retire(socket.gethostname())

    async def _announce(self) -> None:
        """Note this worker among those of its prefix. Log once if one of another deployment is at work there too."""
        try:
            conflict = await self._owners.announce(socket.gethostname())
        except StoreError:  # a full server must not keep the repair and the sweep from their turn
            return
        if conflict and conflict != self._conflict:
            log.warning(conflict)
        self._conflict = conflict

    async def _wait(self) -> int:
        try:
            async with asyncio.timeout(EVERY_S):
                await self._wanted.wait()
        except TimeoutError:
            return REPAIR_EVERY_S
        self._wanted.clear()
        return REPAIR_AGAIN_S

    async def _repair(self, guard_s: int, found_before: bool) -> bool:
        """Repair, unless another worker has just done it. Return True if the index was not right; then repair again.

        What makes entries get lost may go on, so a repair that finds something is followed by another one soon.
        """
        kind = "soon" if guard_s == REPAIR_AGAIN_S else "hourly"
        if not await self._store.client.set(f"{self._guard}:{kind}", "1", nx=True, ex=guard_s):
            return found_before
        found = False
        for partition in range(self._partitions):
            back, dropped = await self._store.repair(partition, RESTS)
            if back or dropped:
                found = True
                log.warning("wake index repaired", partition=partition, put_back=back, dropped=dropped)
        return found

    async def _sweep(self) -> None:
        for partition in range(self._partitions):
            gone = CONVERSATIONS_PER_SWEEP
            while gone >= CONVERSATIONS_PER_SWEEP:
                gone = await self._store.sweep(partition)
                await asyncio.sleep(REST_S)
