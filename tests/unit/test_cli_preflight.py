"""server: can this Redis keep DURABILITY? What never can is refused, what is only missing is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from buffer.errors import StoreUnavailable, UnsafeServer
from buffer.transport.clients import connect
from buffer.transport.server_checks import check_server
from config.settings import Settings
from tests.replicas import follow
from tests.servers import KINDS, Server

ALWAYS = {"appendonly": "yes", "appendfsync": "always"}


@pytest.fixture
async def ask(make_settings: Callable[..., Settings]) -> AsyncIterator[Callable]:
    """Prepare as a process with this DURABILITY does, perhaps as another user: the warnings."""
    clients = []

    async def prepared(server: Server, durability: str, user: str = "", **options: bool) -> list[str]:
        url = server.url.replace("//", f"//{user}:secret@") if user else server.url
        clients.append(connect(url, timeout_s=20))
        return await check_server(clients[-1], make_settings(durability=durability), **options)

    yield prepared
    for client in clients:
        await client.aclose()


def allow(server: Server, *rules: str) -> str:
    """A user of the server with these rules."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", *rules)
    return "app"


async def test_every_server_will_do_for_memory(server, ask):
    """The default asks for nothing."""
    assert await ask(server, "memory") == []


async def test_a_server_that_syncs_every_write(start_server, ask):
    """appendonly yes with appendfsync always is all that the disk needs; asking writes nothing but the partitions."""
    server = start_server(**ALWAYS)
    assert await ask(server, "disk") == []
    with server.client() as client:
        assert client.dbsize() == 1


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"valkey"}))
async def test_a_server_too_old_for_the_disk(start_server, ask, kind):
    """Before Redis 7.2 there is no WAITAOF: refused, with what to do."""
    server = start_server(kind, **ALWAYS)
    with pytest.raises(UnsafeServer, match=r"DURABILITY=disk needs WAITAOF.*Redis (7\.0|6\.2).*use Redis 7\.2"):
        await ask(server, "disk")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"appendonly": "no"}, "no append-only file; set its appendonly yes and appendfsync always"),
        ({"appendonly": "yes", "appendfsync": "everysec"}, "appendfsync everysec, .* set its appendfsync always"),
        ({"appendonly": "yes", "appendfsync": "no"}, "appendfsync no, .* set its appendfsync always"),
    ],
)
async def test_a_server_that_does_not_sync(start_server, ask, config, sentence):
    """A server that keeps no file, or confirms before its fsync, is refused with the setting that cures it."""
    server = start_server(**config)
    with pytest.raises(UnsafeServer, match=f"DURABILITY=disk: this server .*{sentence}"):
        await ask(server, "disk")
    assert await ask(server, "memory") == []


async def test_a_server_that_does_not_sync_while_it_rewrites(start_server, ask):
    """That costs answers and no messages: it starts, and says so."""
    [warning] = await ask(start_server(**ALWAYS, no_appendfsync_on_rewrite="yes"), "disk")
    assert "set its no-appendfsync-on-rewrite no" in warning


async def test_a_replica_may_come_later(server, start_server, ask):
    """Without a replica it starts and says so: a replica that is restarted must not keep the webhook from starting."""
    primary, replica = start_server(server.kind), start_server(server.kind)
    [warning] = await ask(primary, "replica")
    assert "DURABILITY=replica, but no replica is connected" in warning
    follow(replica, primary)
    assert await ask(primary, "replica") == []


@pytest.mark.parametrize(("durability", "command"), [("replica", "WAIT"), ("disk", "WAITAOF")])
async def test_a_user_who_may_not_wait(start_server, ask, durability, command):
    """A user without the right to wait is refused by the name of the command."""
    server = start_server(**ALWAYS)
    user = allow(server, f"-{command.lower()}")
    with pytest.raises(UnsafeServer, match=f"DURABILITY={durability}: .*may not call {command}: allow it"):
        await ask(server, durability, user)
    assert await ask(server, "memory", user) == []


async def test_a_server_that_hides_its_configuration(start_server, ask):
    """Where CONFIG is forbidden nobody can know whether it syncs: it starts, and says so."""
    server = start_server(**ALWAYS)
    [warning] = await ask(server, "disk", allow(server, "-config"))
    assert "CONFIG is forbidden" in warning


@pytest.mark.parametrize("durability", ["replica", "disk"])
async def test_a_replica_is_not_ready(start_server, ask, durability):
    """In mid-failover the server may still be a replica: that is no reason to refuse it for good."""
    primary, replica = start_server(**ALWAYS), start_server(**ALWAYS)
    assert await ask(primary, "memory") == []
    follow(replica, primary)
    with pytest.raises(StoreUnavailable, match="is a replica"):
        await ask(replica, durability)


@pytest.mark.parametrize("durability", ["replica", "disk"])
async def test_who_drains_promises_nothing(server, ask, durability):
    """A worker starts on any of them: what was accepted before must be delivered."""
    assert await ask(server, durability, accepting=False) == []
