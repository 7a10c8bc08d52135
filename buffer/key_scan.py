"""Reads the names of the conversations of a partition from its keys, for repair."""

from __future__ import annotations

from collections.abc import AsyncIterator

from buffer.keys import Keys
from buffer.transport.clients import AsyncClient

KEYS_PER_SCAN = 250
"""Keys that one SCAN looks at: most keys are no conv hash."""

ENTRIES_PER_SCAN = 50
"""Entries of the wake index in one ZSCAN."""


async def conversation_hashes(
    client: AsyncClient, keys: Keys, partition: int, chunk_size: int
) -> AsyncIterator[list[str]]:
    """Yield the hashes of all conversations that have a conv hash or a wake entry, `chunk_size` at a time.

    A conversation with both is yielded twice.
    """
    chunk: list[str] = []
    async for name in _hashes(client, keys, partition):
        chunk.append(name)
        if len(chunk) >= chunk_size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _hashes(client: AsyncClient, keys: Keys, partition: int) -> AsyncIterator[str]:
    prefix = keys.of(partition, "conv", "")
    async for key in client.scan_iter(match=prefix + "*", count=KEYS_PER_SCAN):
        yield key.decode().removeprefix(prefix)
    async for name, _ in client.zscan_iter(keys.of(partition, "wake"), count=ENTRIES_PER_SCAN):
        yield name.decode()
