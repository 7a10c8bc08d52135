"""The route `/metrics`, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import SecretStr

from buffer.errors import StoreError
from webhook.admin.auth import is_admin
from webhook.metrics.scrape import Scraper

ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The metrics (docs/metrics.md)", "content": {"text/plain": {"schema": {"type": "string"}}}},
    401: {"description": "The bearer token is not ADMIN_TOKEN", "content": ERROR},
    403: {"description": "ADMIN_TOKEN is not set, and the client is not on this machine", "content": ERROR},
    503: {"description": "Redis does not answer, or the service is starting", "content": ERROR},
}

UNAUTHORIZED = "send the ADMIN_TOKEN of this service as `Authorization: Bearer …`"
FORBIDDEN = "ADMIN_TOKEN is not set, so only this machine may ask, and without a proxy; set it and send it as a bearer"


def metrics_routes(
    scraper: Callable[[], Scraper | None], not_ready_reason: Callable[[], str], admin_token: SecretStr | None
) -> APIRouter:
    """Build the route. `scraper` returns None as long as the service is starting, `not_ready_reason` says why."""
    router = APIRouter(tags=["metrics"])

    @router.get("/metrics", summary="What is counted, for Prometheus", responses=RESPONSES, response_class=Response)
    async def metrics(request: Request) -> Response:
        peer = request.client.host if request.client else None
        if not is_admin(request.scope["headers"], peer, admin_token):
            return _refusal(admin_token)
        current = scraper()
        if current is None:
            return _not_ready(not_ready_reason())
        try:
            text = await current.scrape(request.headers.get("accept", ""))
        except (StoreError, TimeoutError) as error:
            return _not_ready(f"Redis does not answer: {error or type(error).__name__}")
        return Response(text.body, media_type=text.content_type)

    return router


def _refusal(admin_token: SecretStr | None) -> JSONResponse:
    if admin_token is None:
        return JSONResponse({"error": "forbidden", "detail": FORBIDDEN}, 403)
    body = {"error": "unauthorized", "detail": UNAUTHORIZED}
    return JSONResponse(body, 401, headers={"www-authenticate": "Bearer"})


def _not_ready(reason: str) -> JSONResponse:
    return JSONResponse({"error": "not_ready", "detail": reason}, 503)
