"""Finds what is held of a person beside their conversations, in small steps: Redis runs other commands in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from buffer.keys import Keys
from buffer.models import Conversation
from buffer.transport.clients import AsyncClient

FIELDS_PER_STEP = 250
"""Entries that one HSCAN or ZSCAN looks at: the server takes less than 0.2 ms for them."""

RECORDS_PER_STEP = 100
"""Records of the history that one XRANGE reads."""

KEYS_PER_STEP = 500
"""Keys that one SCAN looks at."""

GENERATIONS = ("new", "old")
"""The two hashes of `ids` and `sent`. The new one becomes the old one, so it is read first."""


HELD = {"dead": "letter", "doubt": "doubted"}
"""The index of dead letters and that of parts in doubt, and the kind of key that tells whose each is."""


class PersonScan:
    """The reads of one partition about a person with these conversation hashes, and these names if they are known."""

    def __init__(
        self, client: AsyncClient, keys: Keys, partition: int, names: Collection[str], people: Collection[Conversation]
    ) -> None:
        self._client = client
        self._keys = keys
        self._partition = partition
        self._names = frozenset(name.encode() for name in names)
        self._refs = tuple(f"{partition}-{name}".encode() for name in names)
        self._people = frozenset(tuple(map(str.encode, person)) for person in people)

    async def aliases(self) -> list[str]:
        """Return the hashes that lead to one of the conversations."""
        key = self._keys.of(self._partition, "alias")
        fields = self._client.hscan_iter(key, count=FIELDS_PER_STEP)
        return [alias.decode() async for alias, target in fields if target in self._names]

    async def held(self) -> dict[str, str]:
        """Return the ids of their dead letters and parts in doubt, each with the conversation hash that it had.

        A dead letter outlives its conversation and its aliases: then only the names in it tell whose it is.
        """
        found: dict[str, str] = {}
        for index, kind in HELD.items():
            async for some in self._members(index):
                found.update(await self._theirs_of(kind, some))
        return found

    async def _members(self, index: str) -> AsyncIterator[list[bytes]]:
        """Yield the members of a sorted set, some at a time."""
        some: list[bytes] = []
        async for member, _ in self._client.zscan_iter(self._keys.of(self._partition, index), count=FIELDS_PER_STEP):
            some.append(member)
            if len(some) == FIELDS_PER_STEP:
                yield some
                some = []
        yield some

    async def _theirs_of(self, kind: str, members: Sequence[bytes]) -> dict[str, str]:
        pipeline = self._client.pipeline(transaction=False)
        for member in members:
            key = self._keys.of(self._partition, kind, member.decode())
            pipeline.hmget(key, ["conversation", "gateway", "channel", "peer"])
        rows = await pipeline.execute(raise_on_error=False)
        return {
            member.decode(): (row[0] or b"").decode() if isinstance(row, list) else ""
            for member, row in zip(members, rows, strict=True)
            if self._is_theirs(member) or (isinstance(row, list) and self._is_them(row))
        }

    def _is_them(self, row: Sequence[bytes | None]) -> bool:
        conversation, *person = row
        return conversation in self._names or tuple(person) in self._people

    async def forget_message_ids(self) -> None:
        """Delete the message ids that name a conversation of theirs, those of parts too."""
        for kind in ("ids", "sent"):
            for generation in GENERATIONS:
                found = [field async for field in self._ids_in(kind, generation)]
                for at in range(0, len(found), FIELDS_PER_STEP):
                    await self._delete_ids(kind, found[at : at + FIELDS_PER_STEP])

    async def _ids_in(self, kind: str, generation: str) -> AsyncIterator[bytes]:
        key = self._keys.of(self._partition, kind, generation)
        async for field, value in self._client.hscan_iter(key, count=FIELDS_PER_STEP):
            if value[:16] in self._names:
                yield field

    async def _delete_ids(self, kind: str, fields: Sequence[bytes]) -> None:
        """Delete ids from both generations: one may have become the other meanwhile."""
        pipeline = self._client.pipeline(transaction=False)
        for generation in GENERATIONS:
            pipeline.hdel(self._keys.of(self._partition, kind, generation), *fields)
        await pipeline.execute()

    async def records(self, kind: str) -> list[str]:
        """Return the ids of their records of a stream."""
        key, after, found = self._keys.of(self._partition, kind), "-", []
        read: Any = self._client.xrange  # its type tells nothing of the replies
        while records := await read(key, after, "+", RECORDS_PER_STEP):
            found += [place.decode() for place, record in records if self._tells_of(record)]
            after = f"({records[-1][0].decode()}"
        return found

    def _tells_of(self, record: Mapping[bytes, bytes]) -> bool:
        person = tuple(record.get(name) for name in (b"gateway", b"channel", b"peer"))
        ids = (record.get(name, b"") for name in (b"ref", b"flush_id", b"part"))
        return person in self._people or any(map(self._is_theirs, ids))

    async def forget_evidence(self) -> None:
        """Delete the keys that were set aside as evidence and bear a name of theirs."""
        async for key in self._client.scan_iter(match=self._keys.of(self._partition, "sick", "*"), count=KEYS_PER_STEP):
            if any(name in key for name in self._names):
                await self._client.unlink(key)

    def _is_theirs(self, held: bytes) -> bool:
        """Return True for a ref of theirs, and for an id that begins with one."""
        return held.startswith(self._refs)
