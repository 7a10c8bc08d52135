"""The errors of the admin API, in the one form of all errors: `{"error": code, "detail": sentence}`."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from buffer.errors import StoreError
from webhook.responses import RETRY_AFTER_S, HTTPError

FIELD = re.compile(r"[a-z_]{1,30}")

ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
COMMON: dict[int | str, dict[str, Any]] = {
    400: {"description": "A parameter or the body is wrong; the detail names it", "content": ERROR},
    401: {"description": "The bearer token is not ADMIN_TOKEN", "content": ERROR},
    403: {"description": "ADMIN_TOKEN is not set, and the client is not on this machine", "content": ERROR},
    405: {"description": "The path does not take this method", "content": ERROR},
    413: {"description": "The body is too large", "content": ERROR},
    503: {"description": "Redis does not answer, or the service is starting", "content": ERROR},
}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "Nothing has this id", "content": ERROR}}
GONE: dict[int | str, dict[str, Any]] = {409: {"description": "Its messages are gone from Redis", "content": ERROR}}


def add_admin_errors(api: FastAPI) -> None:
    """Give the errors of the admin API their form."""
    api.add_exception_handler(HTTPError, _respond)
    api.add_exception_handler(StoreError, _respond_unavailable)
    api.add_exception_handler(RequestValidationError, _respond_invalid)


async def _respond(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPError):
        raise error
    headers = {name.decode(): value.decode() for name, value in error.headers}
    return JSONResponse({"error": error.code, "detail": error.detail}, error.status, headers=headers)


async def _respond_unavailable(_: Request, error: Exception) -> JSONResponse:
    body = {"error": "unavailable", "detail": str(error)}
    return JSONResponse(body, 503, headers={"retry-after": str(RETRY_AFTER_S)})


async def _respond_invalid(_: Request, error: Exception) -> JSONResponse:
    """Name the first wrong field. What was given is not repeated: it may be a phone number."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    place = ".".join(_named(part) for part in first["loc"] if part not in ("query", "path", "body")) or "the body"
    return JSONResponse({"error": "bad_request", "detail": f"{place}: {first['msg']}"}, 400)


def _named(part: str | int) -> str:
    """Return a part of a field's place. What does not look like a name of ours may be a number or a text."""
    return str(part) if isinstance(part, int) or FIELD.fullmatch(part) else "a field"


def unknown(what: str, where: str) -> HTTPError:
    """Return the error for an id that nothing has. `where` is the path that lists the ids."""
    return HTTPError(404, "unknown", f"there is no such {what}; GET {where} lists what there is")
