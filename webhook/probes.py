"""The probes: `/healthz` for this process, and `/readyz` for Redis and its scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from buffer.errors import StoreError
from buffer.held_agents import HeldAgents
from buffer.store import Store

PROBE_TIMEOUT_S = 2.0
"""Seconds that `/readyz` waits for Redis."""

READYZ_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["status"],
                    "properties": {"status": {"const": "ok"}, "detail": {"type": "string"}},
                }
            }
        }
    },
    503: {
        "description": "Redis does not answer, or the service is starting",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    },
}


def probe_routes(store: Callable[[], Store | None], not_ready_reason: Callable[[], str]) -> APIRouter:
    """Build the routes of the two probes.

    `store` returns None as long as the service does not accept messages, and `not_ready_reason` returns the reason.
    """
    router = APIRouter(tags=["probes"])

    @router.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="Messages can be stored", responses=READYZ_RESPONSES)
    async def readyz() -> JSONResponse:
        current = store()
        problem = not_ready_reason() if current is None else await _problem(current)
        if problem:
            return JSONResponse({"error": "not_ready", "detail": problem}, 503)
        detail = await _detail(current) if current is not None else ""
        return JSONResponse({"status": "ok", **({"detail": detail} if detail else {})})

    return router


async def _detail(store: Store) -> str:
    """Return what people should know though messages are stored. No address: anybody may read it."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            held = (await HeldAgents(store).now()).held
    except (StoreError, TimeoutError):
        return ""
    if not held:
        return ""
    agents = "1 agent fails" if len(held) == 1 else f"{len(held)} agents fail"
    return f"{agents} for everyone; {sum(one.waiting for one in held)} bursts wait; `debouncer status` names the reason"


async def _problem(store: Store) -> str | None:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await store.load_scripts()
    except Exception as error:
        return f"Redis does not answer: {error or type(error).__name__}"
    return None
