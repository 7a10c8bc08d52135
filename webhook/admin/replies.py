"""`/replies/doubts`: the parts of answers in doubt, and the decision about each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import orjson
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from buffer.errors import StoreError
from webhook.admin import models, views
from webhook.admin.desk import ACursor, ADesk, ALimit, Desk, bad_cursor
from webhook.admin.errors import COMMON, NDJSON, UNKNOWN, export_error, unknown

router = APIRouter(prefix="/replies", tags=["replies"], responses=COMMON)

EXPORT_PAGE = 50
"""Parts that the export reads at a time."""


@router.get("/doubts", summary="List the parts of answers in doubt, oldest first")
async def list_doubts(desk: ADesk, limit: ALimit = 50, cursor: ACursor = None) -> models.DoubtsBody:
    """Return a page."""
    try:
        page = await desk.lists.doubts(limit, cursor)
    except ValueError as error:
        raise bad_cursor(error) from None
    items = [views.doubt(found, desk.sees_all) for found in page.items]
    return models.DoubtsBody(items=items, next_cursor=page.next_cursor, total=page.total)


@router.get(
    "/doubts/export",
    summary="Export all parts in doubt",
    response_class=StreamingResponse,
    responses={200: {"description": "One JSON object a line, each as the list has it", "content": {NDJSON: {}}}},
)
async def export(desk: ADesk) -> StreamingResponse:
    """Stream all parts in doubt, oldest first. Redis is read in small steps."""
    desk.tell("export", "all parts in doubt")
    return StreamingResponse(_lines(desk), media_type=NDJSON)


async def _lines(desk: Desk) -> AsyncIterator[bytes]:
    """Yield the lines. If Redis fails on the way, the last one is an error, so that nobody takes the file for whole."""
    cursor = None
    try:
        while True:
            page = await desk.lists.doubts(EXPORT_PAGE, cursor)
            for found in page.items:
                yield orjson.dumps(views.doubt(found, desk.sees_all).model_dump()) + b"\n"
            cursor = page.next_cursor
            if cursor is None:
                return
    except StoreError as error:
        yield export_error(error)


@router.post("/doubts/{doubt_id}/send", summary="Send a part in doubt again", responses=UNKNOWN)
async def send(desk: ADesk, doubt_id: str) -> models.Settled:
    """Send it as a batch of its own."""
    return await _settle(desk, doubt_id, "send")


@router.post("/doubts/{doubt_id}/drop", summary="Drop a part in doubt, with a record", responses=UNKNOWN)
async def drop(desk: ADesk, doubt_id: str) -> models.Settled:
    """Forget it: the person has it, or is not to get it."""
    return await _settle(desk, doubt_id, "drop")


async def _settle(desk: Desk, doubt_id: str, action: Literal["send", "drop"]) -> models.Settled:
    if not desk.is_held_id(doubt_id) or await desk.replies.settle_doubt(doubt_id, action) == "unknown":
        raise unknown("part in doubt", "/replies/doubts")
    desk.tell(action, doubt_id)
    return models.Settled(id=doubt_id, action=action)
