"""Fixtures for the tests of the state machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from buffer import script_calls
from tests.servers import Server


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    """A Valkey server that holds nothing but the walk under way, so that looking at every key is quick."""
    server = Server("valkey", tmp_path_factory.mktemp("property"), {})
    with server.client() as connection:
        yield connection
    server.stop()


@pytest.fixture(autouse=True)
def few_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose worker died three times is dead: a random walk comes that far, but not to twenty."""
    monkeypatch.setattr(script_calls, "MAX_CRASHES", 3)
