"""The latest duplicates: which conversation got a message once more, and when. The page draws them.

The scripts do not write them: a message that a gateway sends again must cost nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from buffer.errors import store_error
from buffer.keys import Ref
from buffer.store import Store

KIND = "duplicates"
KEPT = 200
"""Duplicates of a partition that are kept."""

KEEP_S = 900
"""Seconds after the last one for which they are kept."""


class Duplicate(NamedTuple):
    """A duplicate of a conversation, and when it came, by the clock of Redis."""

    ref: str
    at_ms: int


async def note_duplicates(store: Store, found: Sequence[tuple[Ref, int]]) -> None:
    """Note duplicates, each with its age in ms. Raises StoreUnavailable or StoreError."""
    pipeline = store.client.pipeline(transaction=False)
    keys = {ref.partition: store.keys.of(ref.partition, KIND) for ref, _ in found}
    for ref, age_ms in found:
        fields: Any = {"ref": str(ref), "age_ms": age_ms}
        pipeline.xadd(keys[ref.partition], fields, maxlen=KEPT, approximate=True)
    for key in keys.values():
        pipeline.expire(key, KEEP_S)
    await _execute(pipeline)


async def read_duplicates(store: Store) -> list[Duplicate]:
    """Return the latest duplicates of all partitions. Raises StoreUnavailable or StoreError."""
    pipeline = store.client.pipeline(transaction=False)
    for partition in range(store.settings.redis_partitions):
        pipeline.xrevrange(store.keys.of(partition, KIND), count=KEPT)
    replies = await _execute(pipeline)
    entries = [entry for reply in replies if isinstance(reply, list) for entry in reply]
    return [_duplicate(entry_id, fields) for entry_id, fields in entries]


def _duplicate(entry_id: bytes, fields: dict[bytes, bytes]) -> Duplicate:
    noted_ms, age_ms = int(entry_id.partition(b"-")[0]), fields.get(b"age_ms", b"0")
    return Duplicate(
        fields.get(b"ref", b"").decode("utf-8", "replace"), noted_ms - (int(age_ms) if age_ms.isdigit() else 0)
    )


async def _execute(pipeline: Any) -> list[Any]:
    """Run a pipeline. The reply for a key of another type is an error, which stops no other."""
    try:
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
    except (RedisError, OSError) as error:
        raise store_error(error) from error
    return replies
