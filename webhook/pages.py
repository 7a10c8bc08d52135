"""What all other paths answer: `/` says what this is, and an error has the form that webhooks use."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from webhook import docs_page

WHERE = "webhooks are at /webhooks/<gateway>"
PATHS = (
    f"{WHERE}, the probes at /healthz and /readyz, the metrics at /metrics, the page at /dashboard, the admin API at "
    "/conversations, /flushes, /dead-letters and /replies, the description of all at /openapi.json"
)


def about_routes(version: str, *, has_page: bool) -> APIRouter:
    """Build the route that says what this service is. It leads a browser to the page, if there is one."""
    router = APIRouter(tags=["about"])

    @router.get("/", summary="What this service is", response_class=JSONResponse)
    async def about(request: Request) -> Response:
        if has_page and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/dashboard", 303, headers={"vary": "accept"})
        about = {"service": "debouncer", "version": version, "detail": PATHS}
        return JSONResponse(about, headers={"vary": "accept"})

    return router


def add_docs(api: FastAPI) -> None:
    """Add `/docs`, a page for people."""

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page.render(api.openapi()), headers=docs_page.HEADERS)


def add_error_form(api: FastAPI) -> None:
    """Give the errors of FastAPI's own paths the form `{"error": code, "detail": sentence}`."""

    async def respond(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise error
        code, detail = _told(request, error)
        headers = {"allow": _allowed(api, request)} if error.status_code == 405 else error.headers
        return JSONResponse({"error": code, "detail": detail}, error.status_code, headers=headers)

    api.add_exception_handler(HTTPException, respond)


def _allowed(api: FastAPI, request: Request) -> str:
    """Return the methods of all routes that have the path. FastAPI knows those of the first one only."""
    routes = (route for route in api.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in routes for method in getattr(route, "methods", None) or ()}))


def _told(request: Request, error: HTTPException) -> tuple[str, str]:
    if error.status_code == 404:
        is_near = request.url.path.lower().startswith("/webhook")
        return "not_found", WHERE if is_near else f"there is nothing here; {PATHS}"
    if error.status_code == 405:
        return "method_not_allowed", f"this path does not take {request.method}; {PATHS}"
    return "bad_request" if error.status_code == 400 else "http_error", str(error.detail)
