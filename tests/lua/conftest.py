"""Fixtures for the tests of one script at a time: every test runs on every kind of server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from buffer.store import Store
from tests.lua.driver import Desk
from tests.servers import Server


@pytest.fixture
async def open_desk(server: Server, open_store: Callable[..., Store], clock: Any) -> AsyncIterator[Callable[..., Desk]]:
    """A desk with settings of its own: open_desk(message_buffer_max_messages=3)."""
    opened: list[Desk] = []

    def make(**overrides: object) -> Desk:
        opened.append(Desk(open_store(server, **overrides), clock))
        return opened[-1]

    yield make
    for one in opened[:1]:
        await one.check_layout()
        await one.clean()


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    """A desk with the default settings."""
    return open_desk()
