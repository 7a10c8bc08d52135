"""A driver for script tests: append messages, let time pass, read the keys."""

from __future__ import annotations

from collections import Counter
from typing import Any

from buffer.keys import KINDS, Ref
from buffer.models import Appended, Batch, Claim, Conversation, Outcome
from buffer.store import Store
from buffer.tallies import fold
from tests.conversation_hash import read_conv
from tests.messages import message
from tests.recorded_ends import read_record, summed

ANA = Conversation("generic", "loja", "ana")
BIA = Conversation("generic", "loja", "bia")

WINDOW_MS = 8_000
MAX_WAIT_MS = 60_000
LEASE_MS = 15_000
VISIBILITY_MS = 5_000

VOLATILE = {"timer", "lock"}


def ids(batch: Batch | None) -> list[str]:
    """Return the message ids of a batch, in order."""
    assert batch is not None
    return [stored.fields["message_id"] for stored in batch.messages]


class ScriptDriver:
    """A store, its clock, and the keys behind it."""

    def __init__(self, store: Store, clock: Any) -> None:
        self.store = store
        self.clock = clock
        self.redis: Any = store.client

    def key(self, kind: str, to: Conversation = ANA) -> str:
        """Return a key of one conversation."""
        ref = self.store.ref(to)
        return self.store.keys.of(ref.partition, kind, ref.hash)

    def partition_key(self, kind: str, partition: int = 0) -> str:
        """Return a key that exists once per partition."""
        return self.store.keys.of(partition, kind)

    async def append(self, *names: str, to: Conversation = ANA, **fields: Any) -> list[Appended]:
        """Append messages with these ids, in one call."""
        return await self.store.append([message(name, to, **fields) for name in names])

    async def dispatch(self, limit: int = 1000) -> list[Ref]:
        """Dispatch. Return the references of the dispatched conversations."""
        return [due.ref for due in (await self.store.dispatch(0, limit)).due]

    async def claim(self, to: Conversation = ANA, caller: str = "w1") -> Claim:
        """Claim a conversation."""
        return await self.store.claim(self.ref(to), caller)

    async def claim_batch(self, to: Conversation = ANA, caller: str = "w1") -> Batch:
        """Claim a conversation that must have a batch. Return the batch."""
        claim = await self.claim(to, caller)
        assert claim.batch is not None, f"no batch, but {claim}"
        return claim.batch

    async def in_flight(self, *names: str, to: Conversation = ANA) -> Batch:
        """Append messages, let the window pass, and claim them."""
        await self.append(*names, to=to)
        self.clock.advance(WINDOW_MS)
        return await self.claim_batch(to)

    async def make_dead_letter(self, *names: str, to: Conversation = ANA) -> Batch:
        """Turn a burst into a dead letter. Return its batch."""
        batch = await self.in_flight(*names, to=to)
        assert await self.fail(batch.token, "dead", to=to) == "dead"
        return batch

    async def fail(
        self, token: str, mode: str, *, delay_ms: int = 0, error: str = "refused", to: Conversation = ANA
    ) -> Outcome:
        """End an attempt without an ack. The mode is retry, dead or release."""
        if mode == "release":
            return await self.store.release(self.ref(to), token, delay_ms)
        return await self.store.fail(self.ref(to), token, error, delay_ms=delay_ms, dead=mode == "dead")

    def ref(self, to: Conversation = ANA) -> Ref:
        """Return the reference of a conversation."""
        return self.store.ref(to)

    async def wake_ms(self, to: Conversation = ANA) -> int | None:
        """Return the time in the wake entry of a conversation, or None."""
        ref = self.ref(to)
        score = await self.redis.zscore(self.partition_key("wake", ref.partition), ref.hash)
        return None if score is None else int(score)

    async def delete_wake_entry(self, to: Conversation = ANA) -> None:
        """Delete the wake entry. No script does that to a conversation that holds something."""
        assert await self.redis.zrem(self.partition_key("wake"), self.ref(to).hash) == 1

    async def is_idle(self, to: Conversation = ANA) -> bool:
        """Return True if the conversation is in the idle index."""
        return await self.redis.zscore(self.partition_key("idle"), self.ref(to).hash) is not None

    async def conv(self, to: Conversation = ANA) -> dict[str, str]:
        """Return the conv hash of a conversation."""
        return read_conv(await self.redis.hgetall(self.key("conv", to)))

    async def depth(self, to: Conversation = ANA) -> int:
        """Return how many messages the open burst holds."""
        return int(await self.redis.llen(self.key("buffer", to)))

    async def history(self) -> list[dict[str, Any]]:
        """Return the history, newest first."""
        entries = await self.redis.xrevrange(self.partition_key("history"))
        return [read_record(fields) for _, fields in entries]

    async def counters(self) -> Counter[str]:
        """Return the totals since the first start: those of all channels together, and those of no channel."""
        await fold(self.store, 0)
        pattern = self.partition_key("tally") + ":*"
        tallies = [await self.redis.hgetall(key) async for key in self.redis.scan_iter(match=pattern, count=1000)]
        report = await self.store.snapshot(0)
        return summed(tallies) + Counter(report["counters"])

    async def tally(self, to: Conversation = ANA) -> dict[str, int]:
        """Return all that is counted for the channel of a conversation."""
        ref = self.ref(to)
        await fold(self.store, ref.partition)
        found = await self.redis.hgetall(self.store.keys.of(ref.partition, "tally", f"{to.gateway}:{to.channel}"))
        return {name.decode(): int(value) for name, value in found.items() if name != b"about"}

    async def all_keys(self) -> list[str]:
        """Return every key of this test."""
        pattern = f"{self.store.keys.prefix}:*"
        return [key.decode() async for key in self.redis.scan_iter(match=pattern, count=1000)]

    async def check_layout(self) -> None:
        """Check what must be true of the keys after every script: types, TTLs, wake entries."""
        keys = await self.all_keys()
        types = await self._of_each("type", keys)
        ttls = await self._of_each("ttl", keys)
        held = []
        for key, found, ttl in zip(keys, types, ttls, strict=True):
            root, _, rest = key.partition("}:")
            kind, _, name = rest.partition(":")
            assert root.startswith(f"{self.store.keys.prefix}:{{p"), f"{key} is outside the partitions"
            assert kind == "sick" or found == b"none" or KINDS[kind].lower().startswith(found.decode()), (
                f"{key} is a {found}"
            )
            assert kind in VOLATILE or ttl == -1, f"{key} has a TTL"
            if kind in ("buffer", "batch", "redrive"):
                held.append((root + "}:wake", name))
        for index, name in held:
            assert await self.redis.zscore(index, name) is not None, f"{name} is stranded"

    async def _of_each(self, command: str, keys: list[str]) -> list[Any]:
        pipeline = self.redis.pipeline(transaction=False)
        for key in keys:
            getattr(pipeline, command)(key)
        return list(await pipeline.execute())

    async def clean(self) -> None:
        """Delete the keys of this test."""
        keys = await self.all_keys()
        for start in range(0, len(keys), 1000):
            await self.redis.unlink(*keys[start : start + 1000])
