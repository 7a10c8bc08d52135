"""Makes redis-py clients from a URL: of one server, of a server behind Sentinel, or of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry
from redis.sentinel import Sentinel as SyncSentinel

from config.settings import SettingsError

AsyncClient = redis.asyncio.Redis | RedisCluster
"""The client of one server, or of a cluster. Both have the commands that this project sends."""

CONNECT_TIMEOUT_S = 0.5
SENTINEL_PORT = 26379
CLUSTER_PORT = 6379


@dataclass(slots=True, frozen=True)
class _Address:
    """The parts of a redis+sentinel:// or redis+cluster:// URL."""

    hosts: list[tuple[str, int]]
    options: dict[str, Any]
    path: list[str]


def connect(url: str, *, timeout_s: float) -> AsyncClient:
    """Return an asyncio client that waits at most `timeout_s` for a reply and never retries. Callers retry.

    With redis-py's own defaults (5 s, 10 retries) one webhook request could last most of a minute.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }
    parts = urlsplit(url)
    if parts.scheme == "redis+sentinel":
        address = _address(parts, SENTINEL_PORT)
        sentinel = Sentinel(address.hosts, sentinel_kwargs=options, **options, **address.options)  # type: ignore[no-untyped-call]
        return cast(redis.asyncio.Redis, sentinel.master_for(_master_name(address)))
    if parts.scheme == "redis+cluster":
        address = _address(parts, CLUSTER_PORT)
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        del options["retry"]
        return RedisCluster(startup_nodes=nodes, **options, **address.options)
    return redis.asyncio.Redis.from_url(url, **options)


def connect_sync(url: str) -> redis.Redis:
    """Return a blocking client for RQ. Raises SettingsError for a cluster, because RQ cannot work on one."""
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": SyncRetry(NoBackoff(), 0),
    }
    parts = urlsplit(url)
    if parts.scheme == "redis+sentinel":
        address = _address(parts, SENTINEL_PORT)
        sentinel: Any = SyncSentinel(address.hosts, sentinel_kwargs=options, **options, **address.options)  # type: ignore[no-untyped-call]
        return sentinel.master_for(_master_name(address))  # type: ignore[no-any-return]
    if parts.scheme == "redis+cluster":
        raise SettingsError("RQ_REDIS_URL: RQ cannot work on a cluster; name a single server or a Sentinel")
    return redis.Redis.from_url(url, **options)


def pool_of(client: AsyncClient) -> redis.asyncio.ConnectionPool:
    """Return the connection pool of a server's client. Raises TypeError for a cluster, which has a pool per node."""
    if isinstance(client, RedisCluster):
        raise TypeError("the client of a cluster has no connection pool of its own")
    return client.connection_pool


def _address(parts: SplitResult, port: int) -> _Address:
    login, _, places = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    options: dict[str, Any] = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    if password:
        options["password"] = unquote(password)
    if user:
        options["username"] = unquote(user)
    path = [part for part in parts.path.split("/") if part]
    if len(path) > 1:
        options["db"] = int(path[1])
    return _Address([_host(place, port) for place in places.split(",") if place], options, path)


def _host(place: str, port: int) -> tuple[str, int]:
    host, colon, given = place.rpartition(":")
    return (host, int(given)) if colon else (given, port)


def _master_name(address: _Address) -> str:
    if not address.path:
        raise SettingsError(
            "REDIS_URL: a redis+sentinel:// address ends with the master's name, like redis+sentinel://host:26379/main"
        )
    return address.path[0]
