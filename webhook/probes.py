"""`/healthz` (this process) and `/readyz` (Redis answers and knows the scripts)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from buffer.store import Store

PROBE_WITHIN_S = 2.0
READINESS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}
            }
        }
    },
    503: {
        "description": "Redis does not answer, or the service is starting",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    },
}


def probe_routes(store: Callable[[], Store | None], why_not: Callable[[], str]) -> APIRouter:
    """The two probes; `store` gives None while the service may not accept messages, `why_not` says why."""
    router = APIRouter(tags=["probes"])

    @router.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="Messages can be stored", responses=READINESS)
    async def readyz() -> JSONResponse:
        current = store()
        problem = why_not() if current is None else await _problem(current)
        if problem:
            return JSONResponse({"error": "not_ready", "detail": problem}, 503)
        return JSONResponse({"status": "ok"})

    return router


async def _problem(store: Store) -> str | None:
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            await store.load_scripts()
    except Exception as error:
        return f"Redis does not answer: {error or type(error).__name__}"
    return None
