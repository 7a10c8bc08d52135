"""Fixtures for all tests: real servers, one of each kind per test process, and a store with its own clock."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from buffer.store import Store
from buffer.transport.clients import connect
from config.settings import Settings, load_settings
from config.spelling import OWN_PREFIXES
from tests.servers import KINDS, Server

START_MS = 1_700_000_000_000
REPLY_WAIT_S = 20.0

# The developer's shell must not change a result.
for variable in list(os.environ):
    if variable.lower() in Settings.model_fields or variable.startswith((*OWN_PREFIXES, "OTEL_")):
        del os.environ[variable]


class Clock:
    """The time of a test, in milliseconds; it moves only when told."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> int:
        """Move on, or back when negative; returns the new time."""
        self.now_ms += ms
        return self.now_ms


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """The one server of a kind in this test process, started at first use."""
    running: dict[str, Server] = {}

    def get(kind: str) -> Server:
        if kind not in running:
            running[kind] = Server(kind, tmp_path_factory.mktemp(kind), {})
        return running[kind]

    yield get
    for server in running.values():
        server.stop()


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, shared_server: Callable[[str], Server]) -> Server:
    """A server of each kind in turn."""
    return shared_server(request.param)


@pytest.fixture
def valkey(shared_server: Callable[[str], Server]) -> Server:
    """The Valkey server."""
    return shared_server("valkey")


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server for this test alone: start_server(kind, appendonly="yes", appendfsync="always")."""
    started: list[Server] = []

    def start(kind: str = "valkey", **config: str) -> Server:
        folder = tmp_path / f"server-{len(started)}"
        folder.mkdir()
        options = {name.replace("_", "-"): value for name, value in config.items()}
        started.append(Server(kind, folder, options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def prefix() -> str:
    """A REDIS_KEY_PREFIX that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def make_settings(prefix: str) -> Callable[..., Settings]:
    """Settings under this test's prefix: make_settings(message_buffer_timeout=2)."""

    def make(**overrides: object) -> Settings:
        return load_settings(env_file=None, **{"redis_key_prefix": prefix, **overrides})

    return make


@pytest.fixture
def clock() -> Clock:
    """The time that the store passes to its scripts."""
    return Clock()


@pytest.fixture
async def open_store(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Callable[..., Store]]:
    """Open a store on a server: open_store(server, message_buffer_timeout=2); closed after the test."""
    opened: list[Store] = []

    def make(server: Server, **overrides: object) -> Store:
        client = connect(server.url, timeout_s=REPLY_WAIT_S)
        opened.append(Store(client, make_settings(**overrides), clock))
        return opened[-1]

    yield make
    for one in opened:
        await one.close()


@pytest.fixture
async def store(valkey: Server, open_store: Callable[..., Store]) -> Store:
    """A store on the Valkey server; its time is the fixture `clock`."""
    return open_store(valkey)
