"""Who is at work on this Redis: each worker announces its deployment, and another one there is told."""

from __future__ import annotations

from buffer import operator_calls
from buffer.owners import FORGET_MS, conflict, owner_of
from buffer.store import Store


class Owners:
    """The owners of a store, each with the time at which it was last seen. The calls may raise StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def announce(self, host: str) -> str | None:
        """Note that a worker of these settings is at work on `host`. Returns a sentence if another deployment is, too.

        A worker calls this at its start and once a minute.
        """
        return await self._conflict(str(owner_of(self._store.settings, host)))

    async def retire(self, host: str) -> None:
        """Forget that a worker of these settings is at work on `host`. Another one there announces itself again soon.

        A worker calls this when it stops. Raises RedisError or OSError.
        """
        key = self._store.keys.of(0, "owners")
        await self._store.client.hdel(key, str(owner_of(self._store.settings, host)))

    async def conflict(self) -> str | None:
        """Return a sentence if another deployment is at work with this prefix, without announcing anything."""
        return await self._conflict("")

    async def _conflict(self, owner: str) -> str | None:
        args = operator_calls.announce_owner_args(owner, FORGET_MS)
        now_ms, owners = operator_calls.read_announce_owner(await self._store.run("announce_owner", 0, args))
        return conflict(self._store.settings, owners, now_ms)
