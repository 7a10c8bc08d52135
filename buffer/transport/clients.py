"""Redis clients from a URL: one server, behind Sentinel, or a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
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

AsyncClient = Any
"""redis.asyncio.Redis or RedisCluster: their stubs share no base with the commands we use."""

CONNECT_TIMEOUT_S = 0.5
SENTINEL_PORT = 26379
CLUSTER_PORT = 6379


@dataclass(slots=True, frozen=True)
class _Address:
    """What a redis+sentinel:// or redis+cluster:// URL says."""

    hosts: list[tuple[str, int]]
    options: dict[str, Any]
    path: list[str]


def connect(url: str, *, timeout_s: float) -> AsyncClient:
    """An asyncio client that neither retries nor waits longer than `timeout_s` for a reply: callers decide.

    redis-py's own defaults (5 s, 10 retries) would hold a webhook for most of a minute.
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
        return sentinel.master_for(_master_name(address))
    if parts.scheme == "redis+cluster":
        address = _address(parts, CLUSTER_PORT)
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        del options["retry"]
        return RedisCluster(startup_nodes=nodes, **options, **address.options)
    return redis.asyncio.Redis.from_url(url, **options)


def connect_sync(url: str) -> redis.Redis:
    """A blocking client for RQ, which cannot work on a cluster; raises SettingsError."""
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
