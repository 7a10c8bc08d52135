"""The routes of the page: itself, its stream, `/snapshot.json`, its files, and the test burst."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
from fastapi import APIRouter, Body, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from buffer.errors import StoreError
from config.logs import get_logger
from webhook.admin.errors import COMMON
from webhook.dashboard.access import Doorkeeper
from webhook.dashboard.broadcast import Broadcaster, Tick, TooManyViewers
from webhook.dashboard.headers import DATA_HEADERS, PAGE_HEADERS, STATIC_HEADERS
from webhook.dashboard.models import Snapshot
from webhook.dashboard.render import Earlier, page_html, panels_html, sign_in_html
from webhook.dashboard.trial_burst import CHANNEL, GATEWAY, Store, send_trial_message
from webhook.dashboard.view import View
from webhook.responses import RETRY_AFTER, HTTPError

STATIC = {"page.css": "text/css", "live.js": "text/javascript"}
"""The files of the page, with their types."""

FOLDER = Path(__file__).parent / "static"

STREAM_S = 600.0
"""Seconds after which a stream ends. The browser opens another one."""

RETRY_MS = 2000
"""Milliseconds after which a browser opens another stream."""

CROWDED = "as many people watch through this process as it can serve; close another page, or try again"

log = get_logger()


@dataclass(slots=True, frozen=True)
class Dashboard:
    """What the routes work with. `broadcaster` returns None as long as the service is starting."""

    doorkeeper: Doorkeeper
    broadcaster: Callable[[], Broadcaster | None]
    not_ready_reason: Callable[[], str]
    store: Store

    def ready(self) -> Broadcaster:
        """Return the broadcaster. Raises HTTPError (503) as long as the service is starting."""
        found = self.broadcaster()
        if found is None:
            raise HTTPError(503, "unavailable", self.not_ready_reason(), RETRY_AFTER)
        return found

    async def snapshot(self) -> Snapshot:
        """Return what the page shows. Raises HTTPError (503) if Redis does not answer."""
        try:
            return await self.ready().current()
        except (StoreError, TimeoutError) as error:
            detail = f"Redis does not answer: {error or type(error).__name__}"
            raise HTTPError(503, "unavailable", detail, RETRY_AFTER) from None


def dashboard_routes(dashboard: Dashboard) -> APIRouter:
    """Build the routes."""
    router = APIRouter(tags=["page"])
    _add_page(router, dashboard)
    _add_stream(router, dashboard)

    @router.post("/dashboard/test-burst", include_in_schema=False)
    async def test_burst(
        request: Request, person: Annotated[str, Body()], number: Annotated[int, Body()]
    ) -> JSONResponse:
        dashboard.doorkeeper.check_test(request)
        accepted = await send_trial_message(dashboard.store, person, number)
        origin = request.client.host if request.client else "?"
        log.info("dashboard: test burst", action="test burst", what=f"{GATEWAY}/{CHANNEL}", **{"from": origin})
        return JSONResponse({"accepted": accepted}, headers=DATA_HEADERS)

    return router


def _add_page(router: APIRouter, dashboard: Dashboard) -> None:
    keeper = dashboard.doorkeeper

    @router.get("/dashboard", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        view = keeper.view(request)
        if keeper.admin_token is not None and not keeper.may_read(request, takes_links=True):
            html = sign_in_html(view, asks_again=keeper.follows_link(request))
            return HTMLResponse(html, 401, headers=PAGE_HEADERS)
        keeper.check_read(request, takes_links=True)
        return HTMLResponse(page_html(await dashboard.snapshot(), view), headers=PAGE_HEADERS)

    @router.get("/dashboard/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPError(404, "not_found", f"the page has the files {', '.join(STATIC)}")
        return FileResponse(FOLDER / name, media_type=STATIC[name], headers=STATIC_HEADERS)

    @router.get("/snapshot.json", summary="What the page shows, as JSON", responses=COMMON, response_class=JSONResponse)
    async def snapshot(request: Request) -> Response:
        """Return one snapshot. Numbers are masked, and there are no names and no texts."""
        keeper.check_read(request)
        body = orjson.dumps(await dashboard.snapshot())
        return Response(body, media_type="application/json", headers=DATA_HEADERS)


def _add_stream(router: APIRouter, dashboard: Dashboard) -> None:
    async def viewer(request: Request) -> AsyncIterator[None]:
        dashboard.doorkeeper.check_read(request)
        try:
            with dashboard.ready().viewer():
                yield
        except TooManyViewers:
            raise HTTPError(503, "too_many_viewers", CROWDED, RETRY_AFTER) from None

    @router.get(
        "/dashboard/events",
        include_in_schema=False,
        response_class=EventSourceResponse,
        dependencies=[Depends(viewer)],
    )
    async def events(request: Request) -> AsyncIterator[ServerSentEvent]:
        broadcaster = dashboard.ready()
        view = dashboard.doorkeeper.view(request)._replace(is_live=True)
        ends_at_s = asyncio.get_running_loop().time() + STREAM_S
        yield ServerSentEvent(comment="the page", retry=RETRY_MS)
        number, sent = 0, dict[str, str]()
        while asyncio.get_running_loop().time() < ends_at_s:
            tick = await broadcaster.after(number)
            if tick is None:
                return
            number = tick.number
            yield _event(tick, view, sent)


def _event(tick: Tick, view: View, sent: dict[str, str]) -> ServerSentEvent:
    """Return the panels that differ from those that were sent, which are noted."""
    if tick.snapshot is None:
        return ServerSentEvent(data={}, event="away")
    panels = tick.rendered.get(view)
    if panels is None:
        snapshot, rendered = tick.before
        earlier = Earlier(snapshot, rendered[view]) if snapshot and view in rendered else None
        panels = tick.rendered[view] = panels_html(tick.snapshot, view, earlier)
    changed = {name: html for name, html in panels.items() if sent.get(name) != html}
    sent.update(changed)
    key = view, " ".join(changed)
    event = tick.encoded.get(key)
    if event is None:
        data = {"now_ms": tick.snapshot.now_ms, "panels": changed}
        event = tick.encoded[key] = orjson.dumps(data).decode()
    return ServerSentEvent(raw_data=event, event="panels")
