"""server_checks: which servers are refused, which only cause a warning, and that the partitions agree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from buffer.errors import PartitionMismatch, StoreFull, StoreUnavailable, UnsafeServer
from buffer.store import Store
from buffer.transport.clients import connect
from buffer.transport.server_checks import CheckResult, check_server, check_version, inspect_server
from config.settings import Settings
from tests.replicas import follow
from tests.servers import KINDS, Server

ALWAYS = {"appendonly": "yes", "appendfsync": "always"}


@pytest.fixture
async def check(make_settings: Callable[..., Settings]) -> AsyncIterator[Callable]:
    """Check a server as a process with this DURABILITY does, perhaps as another user. Returns the warnings."""
    clients = []

    async def checked(server: Server, durability: str, user: str = "", **options: bool) -> list[str]:
        url = server.url.replace("//", f"//{user}:secret@") if user else server.url
        clients.append(connect(url, timeout_s=20))
        return await check_server(clients[-1], make_settings(durability=durability), **options)

    yield checked
    for client in clients:
        await client.aclose()


def allow(server: Server, *rules: str) -> str:
    """Create a user of the server with these rules."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", *rules)
    return "app"


def problems(results: list[CheckResult]) -> list[CheckResult]:
    return [result for result in results if result.level == "problem"]


async def test_every_supported_server_is_fit(server: Server, open_store: Callable[..., Store]):
    """Valkey 9, Redis 7.0 and Redis 6.2, the oldest, are all accepted. A second check changes nothing."""
    store = open_store(server, redis_partitions=4)
    for _ in range(2):
        await check_server(store.client, store.settings)
    assert await store.client.hgetall(store.keys.meta) == {b"partitions": b"4"}


async def test_other_number_of_partitions(valkey: Server, open_store: Callable[..., Store]):
    """A process with another number of partitions is refused, and the refusal names the right number."""
    first, second = open_store(valkey, redis_partitions=4), open_store(valkey, redis_partitions=8)
    await check_server(first.client, first.settings)
    with pytest.raises(PartitionMismatch, match=r"REDIS_PARTITIONS=8, .* set REDIS_PARTITIONS=4"):
        await check_server(second.client, second.settings)
    await check_server(first.client, first.settings)


async def test_server_that_evicts(start_server: Callable[..., Server], open_store: Callable[..., Store]):
    """A server that deletes keys when it is full is refused, with the setting to change."""
    store = open_store(start_server(maxmemory="100mb", maxmemory_policy="allkeys-lru"))
    with pytest.raises(UnsafeServer, match=r"allkeys-lru.*set maxmemory-policy noeviction"):
        await check_server(store.client, store.settings)
    assert await store.client.exists(store.keys.meta) == 0
    await store.client.config_set("maxmemory-policy", "noeviction")
    await check_server(store.client, store.settings)


async def test_unreachable_server(make_settings: Callable[..., Settings]):
    """A server that cannot be reached is unavailable, not unsafe."""
    client = connect("redis://127.0.0.1:1/0", timeout_s=1)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await check_server(client, make_settings())
    await client.aclose()


async def test_full_server_lets_a_process_start(start_server: Callable[..., Server], open_store: Callable[..., Store]):
    """A worker may start on a full server to drain it. A first start on a full server is refused as full."""
    server = start_server()
    store, other = open_store(server), open_store(server, redis_key_prefix="other")
    await check_server(store.client, store.settings)
    await store.client.config_set("maxmemory", "1")
    await check_server(store.client, store.settings)
    with pytest.raises(StoreFull):
        await check_server(other.client, other.settings)


async def test_an_inspection_shows_what_a_service_raises(
    start_server: Callable[..., Server], open_store: Callable[..., Store]
):
    """Each problem of an inspection is the error, with the same text, that a service raises. Nothing is written."""
    store = open_store(start_server(maxmemory_policy="allkeys-lru"), durability="disk", redis_partitions=8)
    found = await inspect_server(store.client, store.settings)
    assert [result.subject for result in problems(found)] == ["memory", "durability"]
    assert await store.client.dbsize() == 0
    await store.client.hset(store.keys.meta, "partitions", 4)
    await store.client.config_set("maxmemory-policy", "noeviction")
    [durability, partitions] = problems(await inspect_server(store.client, store.settings))
    for expected in (partitions, durability):
        with pytest.raises(expected.error) as caught:
            await check_server(store.client, store.settings)
        assert str(caught.value) == expected.message
        await store.client.hset(store.keys.meta, "partitions", 8)


@pytest.mark.parametrize(("version", "fit"), [("6.0.9", False), ("5.0", False), ("6.2.0", True), ("8.0-rc1", True)])
def test_the_oldest_version(version, fit):
    """A server older than Redis 6.2 is a problem that names its version."""
    found = check_version({"redis_version": version})
    assert (found.level == "ok") == fit
    assert f"Redis {version}" in found.message


async def test_every_server_will_do_for_memory(server, check):
    """The default needs nothing from the server."""
    assert await check(server, "memory") == []


async def test_a_server_that_syncs_every_write(start_server, check):
    """DURABILITY=disk needs appendonly yes and appendfsync always. The check writes nothing but the partitions."""
    server = start_server(**ALWAYS)
    assert await check(server, "disk") == []
    with server.client() as client:
        assert client.dbsize() == 1


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"valkey"}))
async def test_a_server_too_old_for_the_disk(start_server, check, kind):
    """Before Redis 7.2 there is no WAITAOF: refused, with a way out."""
    server = start_server(kind, **ALWAYS)
    with pytest.raises(UnsafeServer, match=r"DURABILITY=disk needs WAITAOF.*Redis (7\.0|6\.2).*use Redis 7\.2"):
        await check(server, "disk")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"appendonly": "no"}, "no append-only file; set its appendonly yes and appendfsync always"),
        ({"appendonly": "yes", "appendfsync": "everysec"}, "appendfsync everysec, .* set its appendfsync always"),
        ({"appendonly": "yes", "appendfsync": "no"}, "appendfsync no, .* set its appendfsync always"),
    ],
)
async def test_a_server_that_does_not_sync(start_server, check, config, sentence):
    """A server without the file, or one that confirms before its fsync, is refused with the setting to change."""
    server = start_server(**config)
    with pytest.raises(UnsafeServer, match=f"DURABILITY=disk: this server .*{sentence}"):
        await check(server, "disk")
    assert await check(server, "memory") == []


async def test_a_server_that_does_not_sync_while_it_rewrites(start_server, check):
    """This loses no message, but the gateways get errors meanwhile: a warning."""
    [warning] = await check(start_server(**ALWAYS, no_appendfsync_on_rewrite="yes"), "disk")
    assert "set its no-appendfsync-on-rewrite no" in warning


async def test_a_replica_may_come_later(server, start_server, check):
    """A missing replica is a warning: a replica that restarts must not keep the webhook from starting."""
    primary, replica = start_server(server.kind), start_server(server.kind)
    [warning] = await check(primary, "replica")
    assert "DURABILITY=replica, but no replica is connected" in warning
    follow(replica, primary)
    assert await check(primary, "replica") == []


@pytest.mark.parametrize(("durability", "command"), [("replica", "WAIT"), ("disk", "WAITAOF")])
async def test_a_user_who_may_not_wait(start_server, check, durability, command):
    """A user without the right to wait is refused, with the name of the command."""
    server = start_server(**ALWAYS)
    user = allow(server, f"-{command.lower()}")
    with pytest.raises(UnsafeServer, match=f"DURABILITY={durability}: .*may not call {command}: allow it"):
        await check(server, durability, user)
    assert await check(server, "memory", user) == []


async def test_a_server_that_hides_its_configuration(start_server, check):
    """Where CONFIG is forbidden, it is not known whether the server syncs: a warning."""
    server = start_server(**ALWAYS)
    [warning] = await check(server, "disk", allow(server, "-config"))
    assert "CONFIG is forbidden" in warning


@pytest.mark.parametrize("durability", ["replica", "disk"])
async def test_a_replica_is_not_ready(start_server, check, durability):
    """During a failover the server may still be a replica: unavailable, which is no refusal for good."""
    primary, replica = start_server(**ALWAYS), start_server(**ALWAYS)
    assert await check(primary, "memory") == []
    follow(replica, primary)
    with pytest.raises(StoreUnavailable, match="is a replica"):
        await check(replica, durability)


@pytest.mark.parametrize("durability", ["replica", "disk"])
async def test_a_worker_starts_on_any_server(server, check, durability):
    """DURABILITY is not checked for a worker: accepted messages must be delivered from any server."""
    assert await check(server, durability, accepting=False) == []
