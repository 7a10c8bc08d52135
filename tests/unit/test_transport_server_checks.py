"""server: is this Redis fit to hold messages, and do all processes agree on the partitions?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from buffer.errors import PartitionMismatch, StoreFull, StoreUnavailable, UnsafeServer
from buffer.store import Store
from buffer.transport.clients import connect
from buffer.transport.server_checks import check_server
from config.settings import Settings
from tests.servers import Server


async def test_every_supported_server_is_fit(server: Server, open_store: Callable[..., Store]):
    """Valkey 9, Redis 7.0 and Redis 6.2, the floor, are all accepted; asking again changes nothing."""
    store = open_store(server, redis_partitions=4)
    for _ in range(2):
        await check_server(store.client, store.settings)
    assert await store.client.hgetall(store.keys.meta) == {b"partitions": b"4"}


async def test_other_number_of_partitions(valkey: Server, open_store: Callable[..., Store]):
    """A process that disagrees refuses to start, and says which number is the right one."""
    first, second = open_store(valkey, redis_partitions=4), open_store(valkey, redis_partitions=8)
    await check_server(first.client, first.settings)
    with pytest.raises(PartitionMismatch, match=r"REDIS_PARTITIONS=8, .* set REDIS_PARTITIONS=4"):
        await check_server(second.client, second.settings)
    await check_server(first.client, first.settings)


async def test_server_that_evicts(start_server: Callable[..., Server], open_store: Callable[..., Store]):
    """A server that throws keys away when it is full is refused, with the setting that cures it."""
    store = open_store(start_server(maxmemory="100mb", maxmemory_policy="allkeys-lru"))
    with pytest.raises(UnsafeServer, match=r"allkeys-lru.*set maxmemory-policy noeviction"):
        await check_server(store.client, store.settings)
    assert await store.client.exists(store.keys.meta) == 0
    await store.client.config_set("maxmemory-policy", "noeviction")
    await check_server(store.client, store.settings)


async def test_nobody_there(make_settings: Callable[..., Settings]):
    """A server that cannot be reached is unavailable, not unfit."""
    client = connect("redis://127.0.0.1:1/0", timeout_s=1)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await check_server(client, make_settings())
    await client.aclose()


async def test_full_server_lets_a_process_start(start_server: Callable[..., Server], open_store: Callable[..., Store]):
    """A worker that starts on a full server may drain it; a first start there is refused as full."""
    server = start_server()
    store, other = open_store(server), open_store(server, redis_key_prefix="other")
    await check_server(store.client, store.settings)
    await store.client.config_set("maxmemory", "1")
    await check_server(store.client, store.settings)
    with pytest.raises(StoreFull):
        await check_server(other.client, other.settings)
