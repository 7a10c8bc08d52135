"""clients: redis-py clients from a URL."""

from __future__ import annotations

import pytest

from buffer.transport.clients import connect, connect_sync, pool_of
from config.settings import SettingsError
from tests.servers import Server


def options_of(url: str) -> dict:
    return dict(pool_of(connect(url, timeout_s=1.5)).connection_kwargs)


async def test_client_neither_retries_nor_waits():
    """Callers decide how long to wait and how often to try: redis-py's 5 s and 10 retries are off."""
    options = options_of("redis://:secret@db:7000/3")
    assert (options["host"], options["port"], options["db"], options["password"]) == ("db", 7000, 3, "secret")
    assert options["socket_timeout"] == 1.5
    assert options["socket_connect_timeout"] <= 1.5
    assert options["retry"].get_retries() == 0


async def test_unix_socket():
    """A server on the same machine may be reached through its socket."""
    assert options_of("unix:///run/redis.sock?db=2")["path"] == "/run/redis.sock"


async def test_sentinel():
    """Behind Sentinel: hosts with a default port, the master's name, the database, the login."""
    client = connect("redis+sentinel://app:p%40ss@one,two:7000/main/4", timeout_s=1)
    pool = client.connection_pool
    assert pool.service_name == "main"
    found = [s.connection_pool.connection_kwargs for s in pool.sentinel_manager.sentinels]
    assert [(kwargs["host"], kwargs["port"]) for kwargs in found] == [("one", 26379), ("two", 7000)]
    options = pool.connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("app", "p@ss", 4)
    assert options["socket_timeout"] == 1


async def test_sentinel_without_a_master():
    """A Sentinel address without the master's name is refused with one that has it."""
    for make in (lambda url: connect(url, timeout_s=1), connect_sync):
        with pytest.raises(SettingsError, match=r"REDIS_URL: .*redis\+sentinel://host:26379/main"):
            make("redis+sentinel://one,two")


async def test_cluster():
    """A cluster is given by some of its nodes."""
    client = connect("redis+cluster://one:7000,two", timeout_s=1)
    nodes = {(node.host, node.port) for node in client.nodes_manager.startup_nodes.values()}
    assert nodes == {("one", 7000), ("two", 6379)}


def test_rq_cannot_work_on_a_cluster():
    """RQ's connection refuses a cluster with a sentence that names the variable."""
    with pytest.raises(SettingsError, match="RQ_REDIS_URL"):
        connect_sync("redis+cluster://one:7000")


def test_blocking_client(valkey: Server):
    """RQ's client reaches the server and leaves replies as bytes, as RQ wants them."""
    with connect_sync(valkey.url) as client:
        assert client.ping()
        assert client.echo("x") == b"x"
