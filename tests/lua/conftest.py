"""Fixtures for the tests of single scripts. Every test runs on every kind of server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from buffer.store import Store
from tests.lua.driver import ScriptDriver
from tests.lua.reply_driver import ReplyDriver
from tests.servers import Server


@pytest.fixture
async def open_driver(
    server: Server, open_store: Callable[..., Store], clock: Any
) -> AsyncIterator[Callable[..., ScriptDriver]]:
    """Return a function that makes a driver with given settings: open_driver(message_buffer_max_messages=3)."""
    opened: list[ScriptDriver] = []

    def make(**overrides: object) -> ScriptDriver:
        opened.append(ScriptDriver(open_store(server, **overrides), clock))
        return opened[-1]

    yield make
    for one in opened[:1]:
        await one.check_layout()
        await one.clean()


@pytest.fixture
def driver(open_driver: Callable[..., ScriptDriver]) -> ScriptDriver:
    """Return a driver with the default settings."""
    return open_driver()


@pytest.fixture
def replies(driver: ScriptDriver) -> ReplyDriver:
    """Return a driver for the parts of answers."""
    return ReplyDriver(driver)
