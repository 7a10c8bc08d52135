"""`/replies/doubts`: the parts of answers in doubt, and the decision about each."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from webhook.admin import models, views
from webhook.admin.desk import ACursor, ADesk, ALimit, Desk, bad_cursor
from webhook.admin.errors import COMMON, UNKNOWN, unknown

router = APIRouter(prefix="/replies", tags=["replies"], responses=COMMON)


@router.get("/doubts", summary="List the parts of answers in doubt, oldest first")
async def list_doubts(desk: ADesk, limit: ALimit = 50, cursor: ACursor = None) -> models.DoubtsBody:
    """Return a page."""
    try:
        page = await desk.lists.doubts(limit, cursor)
    except ValueError as error:
        raise bad_cursor(error) from None
    items = [views.doubt(found, desk.sees_all) for found in page.items]
    return models.DoubtsBody(items=items, next_cursor=page.next_cursor, total=page.total)


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
