"""The webhook application in this process, for tests that post to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from config.settings import Settings
from webhook.app import create_app

PUBLIC_BASE_URL = "https://bot.example.com"


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application under these settings, which is started and stopped as a server does it."""
    app = create_app(settings)
    told: asyncio.Queue[Any] = asyncio.Queue()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan"}, told.get, heard.put))
    await told.put({"type": "lifespan.startup"})
    started = await heard.get()
    assert started["type"] == "lifespan.startup.complete", started
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PUBLIC_BASE_URL) as client:
        yield client
    await told.put({"type": "lifespan.shutdown"})
    await life
