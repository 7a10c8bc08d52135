"""Every Redis key of the buffer, and how a conversation finds its partition.

All keys of one partition share the hash tag `{p<n>}`, so one script call stays in one cluster slot (invariant 10).
Scripts get the partition's root as KEYS[1] and add a kind of `KINDS` to it.
"""

from __future__ import annotations

from binascii import b2a_base64
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

URLSAFE = bytes.maketrans(b"+/", b"-_")

FINGERPRINT = blake2b(digest_size=8)
"""Copied for each message: a new one would read its parameters each time."""

NUMBERS_MAX = 10_000
"""Of how many of our numbers the partition is kept at hand."""

KINDS = {
    # one of each per partition
    "wake": "ZSET conversation -> next moment (ms) somebody must look at it: the wake index",
    "idle": "ZSET conversation -> since when (ms) it holds nothing: what sweep removes",
    "alias": "HASH another name of a person (hash) -> the conversation it leads to",
    "dead": "ZSET flush_id -> when (ms) it became a dead letter",
    "history": "LIST of JSON, newest first, bounded: every flush and discard that ended",
    "counters": "HASH of totals since first start, and the dispatch counter",
    # one of each per conversation
    "conv": "HASH identity, open window, sealed batch, lease",
    "buffer": "LIST the open burst, in arrival order",
    "batch": "LIST the sealed messages of the flush in hand, in their final order",
    "seen": "STRING remembered message ids, 16 bytes each: fingerprint 8, seconds 4, nonce 4",
    "timer": "STRING with a TTL that ends at the deadline; its expiry event is a wake-up hint",
    "lock": "STRING with a TTL: mirrors the lease that the conv hash decides",
    "media": "HASH fingerprint -> inline media (base64) of a message in buffer, batch or remains",
    "mark": "HASH fingerprint -> an edit or revoke that overtook its message",
    "redrive": "LIST flush_ids of dead letters to be delivered again",
    # one of each per dead letter
    "letter": "HASH a dead letter: all batch fields, the error, when it died",
    "remains": "LIST the messages of a dead letter",
}


class Ref(NamedTuple):
    """The opaque name of a conversation: `<partition>-<hash>`, safe in an RQ job id."""

    partition: int
    hash: str

    def __str__(self) -> str:
        return f"{self.partition}-{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Read `<partition>-<hash>`; raises ValueError when it is not one."""
        partition, dash, digest = text.partition("-")
        if not dash or not partition.isdigit() or not digest:
            raise ValueError(f"{text!r} is not a conversation reference; expected <partition>-<hash>")
        return cls(int(partition), digest)


def partition_of(gateway: str, channel: str, partitions: int) -> int:
    """The partition of one of our numbers: all its conversations, and their aliases, share a slot."""
    return crc32(f"{gateway}\0{channel}".encode()) % partitions


@lru_cache(NUMBERS_MAX)
def _number(gateway: str, channel: str, partitions: int) -> tuple[int, blake2b]:
    """Partition of one of our numbers, and the hash that has read what its conversations have in common."""
    common = f"{len(gateway)}:{gateway}{len(channel)}:{channel}".encode()
    return partition_of(gateway, channel, partitions), blake2b(common, digest_size=12)


def ref_of(conversation: tuple[str, str, str], partitions: int) -> Ref:
    """The reference of a conversation: 96 bits of BLAKE2b, so that no phone number stands in a key."""
    gateway, channel, peer = conversation
    partition, number = _number(gateway, channel, partitions)
    name = number.copy()
    name.update(peer.encode())
    return Ref(partition, b2a_base64(name.digest(), newline=False).translate(URLSAFE).decode())


def fingerprint_of(message_id: str) -> bytes:
    """The 8 bytes by which a message id is remembered in its conversation."""
    fingerprint = FINGERPRINT.copy()
    fingerprint.update(message_id.encode("utf-8", "surrogatepass"))
    return fingerprint.digest()


class Keys:
    """Builds the keys of one installation from its prefix (REDIS_KEY_PREFIX)."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def root(self, partition: int) -> str:
        """What all keys of a partition begin with."""
        return f"{self.prefix}:{{p{partition}}}:"

    def of(self, partition: int, kind: str, name: str | None = None) -> str:
        """One key: of the partition, or of a conversation or dead letter in it."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not a kind of key")
        return self.root(partition) + (kind if name is None else f"{kind}:{name}")

    @property
    def meta(self) -> str:
        """HASH what all processes must agree on: the number of partitions."""
        return f"{self.prefix}:meta"

    def timer_ref(self, key: str) -> Ref | None:
        """The conversation of an expired timer key; None for any other key."""
        head, found, digest = key.partition("}:timer:")
        start = f"{self.prefix}:{{p"
        if not found or not head.startswith(start) or not head[len(start) :].isdigit():
            return None
        return Ref(int(head[len(start) :]), digest)
