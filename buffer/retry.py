"""Repeats operations of the store while Redis is unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from buffer.errors import NotDurable, StoreUnavailable

RETRY_EVERY_S = 0.05

T = TypeVar("T")


async def retry_unavailable(operation: Callable[[], Awaitable[T]], timeout_s: float) -> T:
    """Repeat an operation of `Store` that raises StoreUnavailable, until `timeout_s` is over.

    Every operation may be repeated, although a reply may be lost after the script has run: append recognises its nonce,
    claim its caller, the others their token. NotDurable is not repeated here: the gateway sends the message again.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    while True:
        try:
            return await operation()
        except NotDurable:
            raise
        except StoreUnavailable:
            if loop.time() + RETRY_EVERY_S >= until:
                raise
            await asyncio.sleep(RETRY_EVERY_S)
