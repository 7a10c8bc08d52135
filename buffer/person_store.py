"""The operations of people on one person: look at what is held, act on it, erase it. A Ref names the conversation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from redis.exceptions import RedisError

from buffer import person_calls, script_calls
from buffer.errors import store_error
from buffer.insight_models import ConversationView, Erased
from buffer.keys import Ref, ref_of
from buffer.models import Conversation, PauseMode
from buffer.person_calls import ErasedKeys
from buffer.person_jobs import open_jobs
from buffer.person_scan import PersonScan
from buffer.store import Store

SHOWN_MAX = 100
"""Messages of a burst, and of a batch, that a look returns."""

HASH_SIZE = 16
"""Characters of the hash of a conversation."""

IDS_PER_ERASE = 50
"""Dead letters and parts in doubt of one erase call. Redis runs no other command meanwhile."""


class People:
    """The operations on one person in a store. Each may raise StoreUnavailable, StoreFull or StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def look(self, ref: Ref, limit: int = SHOWN_MAX) -> ConversationView | None:
        """Return what a conversation holds and waits for, with its first `limit` messages. None: it is unknown."""
        args = person_calls.look_args(ref, limit, self._store.settings.max_wait_ms)
        return person_calls.read_look(ref, await self._store.run("look", ref.partition, args))

    async def flush_now(self, ref: Ref) -> int:
        """Close an open burst at once. Returns the number of its messages."""
        reply = await self._store.run("flush_now", ref.partition, script_calls.flush_now_args(ref))
        return script_calls.read_flush_now(reply)

    async def discard(self, ref: Ref, cause: str = "operator") -> tuple[int, bool]:
        """Discard the burst and batch of a conversation. Returns (messages discarded, batch in flight cancelled)."""
        reply = await self._store.run("discard", ref.partition, script_calls.discard_args(ref, cause))
        return script_calls.read_discard(reply)

    async def pause(self, ref: Ref, who: Conversation, pause_ms: int, mode: PauseMode) -> int:
        """Pause a conversation for `pause_ms`. Returns the end of the pause in ms."""
        args = script_calls.pause_args(ref, who, pause_ms, mode)
        return script_calls.read_pause(await self._store.run("pause", ref.partition, args))

    async def resume(self, ref: Ref) -> bool:
        """End a pause. Returns True if the conversation was paused."""
        reply = await self._store.run("resume", ref.partition, script_calls.resume_args(ref))
        return script_calls.read_resume(reply)

    async def erase(self, person: Conversation) -> Erased:
        """Delete everything that is held of a person on a channel, RQ's jobs too, whichever of their names is given.

        A second call finds nothing. docs/admin-api.md tells what an erase cannot reach.
        """
        ref = self._store.ref(person)
        spelled = ref_of(person, self._store.settings.redis_partitions)  # from before CANONICAL_PHONES was set
        return await self._erase(ref.partition, [ref.hash, spelled.hash], person)

    async def erase_ref(self, ref: Ref) -> Erased:
        """Delete everything that is held of the person whose conversation this is, as `erase` does.

        Raises ValueError for a hash of another length: ids that begin with it would be those of others.
        """
        if len(ref.hash) != HASH_SIZE:
            raise ValueError(f"{ref} is not a conversation reference")
        found = await self.look(ref, 0)
        return await self._erase(ref.partition, [ref.hash], found.conversation if found else None)

    async def _erase(self, partition: int, hashes: Sequence[str], person: Conversation | None) -> Erased:
        """Erase the conversations first, and the jobs last: then no worker makes dead letters or jobs of them."""
        erasure = _Erasure(self._store, partition, hashes, person)
        try:
            async with open_jobs(self._store) as jobs:
                await jobs.check()
                await erasure.find_names()
                await erasure.delete(())
                await erasure.delete_held()
                records = await erasure.delete_records()
                return erasure.result(records, await jobs.delete(erasure.names))
        except (RedisError, OSError) as error:
            raise store_error(error) from error


class _Erasure:
    """One erase: the hashes of the person that are known so far, and what was deleted."""

    def __init__(self, store: Store, partition: int, hashes: Sequence[str], person: Conversation | None) -> None:
        self._store = store
        self._partition = partition
        self._names = dict.fromkeys(hashes)
        self._person = person
        self._deleted: list[ErasedKeys] = []

    async def find_names(self) -> None:
        """Find the conversations that the hashes lead to, and all aliases of these."""
        key = self._store.keys.of(self._partition, "alias")
        targets: list[Any] = await self._store.client.hmget(key, list(self._names))
        self._add(target.decode() for target in targets if target)
        self._add(await self._scan().aliases())

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete the conversations, and these dead letters and parts in doubt."""
        gateway, channel, _ = self._person or ("", "", "")
        record_id = self._deleted[-1].record_id if self._deleted else ""
        args = person_calls.erase_args(list(self._names), ids, gateway, channel, record_id)
        deleted = person_calls.read_erase(await self._store.run("erase", self._partition, args))
        self._deleted.append(deleted)
        self._add(deleted.names)

    async def delete_held(self) -> None:
        """Delete the dead letters and parts in doubt, and the conversations again: one may have been redriven."""
        held = await self._scan().held()
        self._add(filter(None, held.values()))
        ids = list(held)
        for at in range(0, len(ids), IDS_PER_ERASE):
            await self.delete(ids[at : at + IDS_PER_ERASE])

    async def delete_records(self) -> int:
        """Delete ids, evidence and records. Returns how many records there were."""
        scan = self._scan()
        await scan.forget_message_ids()
        await scan.forget_evidence()
        await self._delete_records_of(scan, "duplicates")
        return await self._delete_records_of(scan, "history")

    async def _delete_records_of(self, scan: PersonScan, kind: str) -> int:
        records = await scan.records(kind)
        if not records:
            return 0
        args = person_calls.forget_records_args(kind, records)
        return person_calls.read_forget_records(await self._store.run("forget_records", self._partition, args))

    @property
    def names(self) -> Sequence[str]:
        """Return all hashes of the person that were found."""
        return list(self._names)

    def result(self, records: int, jobs: int) -> Erased:
        """Return all that was deleted."""
        conversations, messages, dead_letters, doubts, *_ = zip(*self._deleted, strict=True)
        refs = tuple(f"{self._partition}-{name}" for name in self._names)
        return Erased(sum(conversations), sum(messages), sum(dead_letters), sum(doubts), records, jobs, refs)

    def _add(self, names: Iterable[str]) -> None:
        self._names.update(dict.fromkeys(names))

    def _scan(self) -> PersonScan:
        people = [self._person] if self._person else []
        return PersonScan(self._store.client, self._store.keys, self._partition, self._names, people)
