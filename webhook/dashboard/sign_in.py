"""Signing in and out: a form takes ADMIN_TOKEN and gives the browser a session."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import SecretStr

from config.log_limiter import LogLimiter
from config.logs import get_logger
from gateways.credentials import secrets_equal
from webhook.admin.sessions import COOKIE, SESSION_S, is_own_page, new_session
from webhook.dashboard.access import ELSEWHERE
from webhook.dashboard.headers import PAGE_HEADERS
from webhook.dashboard.render import sign_in_html
from webhook.dashboard.view import View
from webhook.dashboard.words import language_of
from webhook.responses import HTTPError

BODY_MAX = 8192
"""Bytes of the form."""

REFUSALS_EVERY_S = 60.0
"""Least seconds between two log lines about wrong tokens."""

log = get_logger()


def sign_in_routes(admin_token: SecretStr, *, is_https: bool) -> APIRouter:
    """Build the routes. With `is_https`, browsers send the session over HTTPS only."""
    router = APIRouter(include_in_schema=False)
    refusals: LogLimiter[str] = LogLimiter(REFUSALS_EVERY_S)

    @router.post("/dashboard/sign-in")
    async def sign_in(request: Request) -> Response:
        _check_page(request)
        origin = request.client.host if request.client else "?"
        if not secrets_equal(await _given(request), admin_token):
            if told := refusals.add(origin):
                log.warning("dashboard: wrong token", refused=told, **{"from": origin})
            return HTMLResponse(sign_in_html(_view(request), is_wrong=True), 401, headers=PAGE_HEADERS)
        log.info("dashboard: signed in", action="sign in", **{"from": origin})
        response = RedirectResponse("/dashboard", 303)
        session, secure = new_session(admin_token, time.time()), is_https or request.url.scheme == "https"
        response.set_cookie(COOKIE, session, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure)
        return response

    @router.post("/dashboard/sign-out")
    async def sign_out(request: Request) -> Response:
        _check_page(request)
        response = RedirectResponse("/dashboard", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    return router


def _check_page(request: Request) -> None:
    if not is_own_page(dict(request.scope["headers"])):
        raise HTTPError(403, "forbidden", ELSEWHERE)


async def _given(request: Request) -> str:
    """Return the token of the form, '' if the body is no such form."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_MAX:
            raise HTTPError(413, "too_large", f"the form has at most {BODY_MAX} bytes")
    return parse_qs(body.decode("latin-1"), max_num_fields=10).get("token", [""])[0]


def _view(request: Request) -> View:
    return View(language_of(request.headers.get("accept-language", "")))
