"""Every Redis key of the buffer, and the partition of a conversation.

All keys of one partition share the hash tag `{p<n>}`, so a script call stays in one slot (docs/invariants.md#10).
Scripts get the partition's root as KEYS[1] and append a kind of `KINDS`.
"""

from __future__ import annotations

from binascii import b2a_base64
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

URLSAFE = bytes.maketrans(b"+/", b"-_")

FINGERPRINT = blake2b(digest_size=8)
"""An empty hash to copy for each message. A copy is faster than a new hash."""

CHANNEL_CACHE_SIZE = 10_000
"""Channels whose partition and hash prefix are cached."""

KINDS = {
    # one of each per partition
    "wake": "ZSET conversation -> time (ms) of its next dispatch: the wake index",
    "idle": "ZSET conversation -> time (ms) since which it holds nothing; sweep removes the oldest",
    "alias": "HASH alias of a person (conversation hash) -> the conversation it belongs to",
    "ids": "HASH message id and channel -> the conversation that brought it, for the latest ids: ids:new and ids:old",
    "dead": "ZSET flush_id -> time (ms) at which its batch became a dead letter",
    "history": "STREAM of the flushes, discards and parts that ended, bounded (lua/include/history.lua has the fields)",
    "duplicates": "STREAM of the latest duplicates, for a quarter of an hour (buffer/duplicates.py has the fields)",
    "agents": "HASH tag of an agent that fails for everyone -> its state (include/held_agent.lua); in partition 0 only",
    "owners": "HASH deployment and host -> time (ms) at which a worker of it was last at work; in partition 0 only",
    "counters": "HASH of totals since first start that belong to no channel, and the dispatch counter",
    "channels": "SET gateway, colon, channel: of all tallies",
    "hold": "STRING the time (ms) until which no lease is taken over, because the clock has jumped",
    "doubt": "ZSET <flush_id>.<part> -> time (ms) since which nobody knows whether that part of an answer was sent",
    "sent": "HASH id of a part at its gateway -> conversation and <flush_id>.<part>, of the latest: sent:new, sent:old",
    "suspects": "ZSET conversation in flight whose batch is a suspect -> end of its lease",
    "uncounted": "STRING what append has counted lately, not yet in the tallies (lua/include/fold.lua has the layout)",
    # one of each per channel
    "tally": "HASH counters and histograms of a channel: `tally:<gateway>:<channel>` (docs/counters.md)",
    # one of each per channel that replies
    "rate": "STRING the time (ms) at which the channel's limit of parts is used up to no part: the GCRA's arrival time",
    "held": "HASH a channel through which nothing can be sent: since when, until when, and why",
    # one of each per agent whose calls are held
    "parked": "ZSET conversation whose batch waits for the agent -> time (ms) at which it was sealed",
    # one of each per conversation
    "conv": "HASH identity, open window, sealed batch, lease",
    "buffer": "LIST the open burst, in arrival order",
    "batch": "LIST the sealed messages of the current flush, in their final order",
    "seen": "STRING remembered message ids, 16 bytes each: fingerprint 8, seconds 4, nonce 4; or the number of slabs",
    "slabs": "HASH number -> remembered message ids as in seen, where they are many; a fingerprint has its slab",
    "timer": "STRING with a TTL that ends at the deadline; its expiry event is a hint for the dispatcher",
    "lock": "STRING with a TTL: a copy of the lease; the conv hash decides",
    "media": "HASH fingerprint -> inline media (base64) of a message in buffer, batch or remains",
    "mark": "HASH fingerprint -> a pending change: an edit or revoke that arrived before its message",
    "memory": "STRING what the agent's kind keeps of the conversation (docs/agents.md)",
    "redrive": "LIST flush_ids of the dead letters to redrive",
    # one of each per dead letter
    "letter": "HASH a dead letter: all batch fields, the error, the time of death",
    "remains": "LIST the messages of a dead letter",
    # one of each per part in doubt
    "doubted": "HASH a part in doubt: its conversation, its number, and the answer that holds it",
    # evidence; an operator may delete it
    "sick": "a key that no script could read, renamed to sick:<kind>[:<name>], or a part or an error of it",
}


class Ref(NamedTuple):
    """The opaque name of a conversation. As text it is `<partition>-<hash>`, safe in an RQ job id."""

    partition: int
    hash: str

    def __str__(self) -> str:
        return f"{self.partition}-{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Parse `<partition>-<hash>`. Raises ValueError for any other text."""
        partition, dash, digest = text.partition("-")
        if not dash or not partition.isdigit() or not digest:
            raise ValueError(f"{text!r} is not a conversation reference; expected <partition>-<hash>")
        return cls(int(partition), digest)


def partition_of(gateway: str, channel: str, partitions: int) -> int:
    """Return the partition of a channel. All its conversations and their aliases share a slot."""
    return crc32(f"{gateway}\0{channel}".encode()) % partitions


@lru_cache(CHANNEL_CACHE_SIZE)
def _channel_prefix(gateway: str, channel: str, partitions: int) -> tuple[int, blake2b]:
    """Return the partition of a channel, and a hash that has read the common prefix of its conversations."""
    common = f"{len(gateway)}:{gateway}{len(channel)}:{channel}".encode()
    return partition_of(gateway, channel, partitions), blake2b(common, digest_size=12)


def ref_of(conversation: tuple[str, str, str], partitions: int) -> Ref:
    """Return the Ref of a conversation. Its hash is 96 bits of BLAKE2b, so that no key contains a phone number."""
    gateway, channel, peer = conversation
    partition, prefix = _channel_prefix(gateway, channel, partitions)
    name = prefix.copy()
    name.update(peer.encode())
    return Ref(partition, b2a_base64(name.digest(), newline=False).translate(URLSAFE).decode())


def fingerprint_of(message_id: str) -> bytes:
    """Return the 8 bytes that stand for a message id in the seen ids of its conversation."""
    fingerprint = FINGERPRINT.copy()
    fingerprint.update(message_id.encode("utf-8", "surrogatepass"))
    return fingerprint.digest()


class Keys:
    """Builds the keys of one installation from its prefix (REDIS_KEY_PREFIX)."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def root(self, partition: int) -> str:
        """Return the common beginning of all keys of a partition."""
        return f"{self.prefix}:{{p{partition}}}:"

    def of(self, partition: int, kind: str, name: str | None = None) -> str:
        """Return one key of the partition, or of a conversation or dead letter in it if `name` is given."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not a kind of key")
        return self.root(partition) + (kind if name is None else f"{kind}:{name}")

    @property
    def meta(self) -> str:
        """Return the key of the HASH with the number of partitions, on which all processes must agree."""
        return f"{self.prefix}:meta"

    def timer_ref(self, key: str) -> Ref | None:
        """Return the conversation of an expired timer key. Returns None for any other key."""
        head, found, digest = key.partition("}:timer:")
        start = f"{self.prefix}:{{p"
        if not found or not head.startswith(start) or not head[len(start) :].isdigit():
            return None
        return Ref(int(head[len(start) :]), digest)
