"""`/flushes`: what ended, newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from webhook.admin import models, views
from webhook.admin.desk import REF, ACursor, ADesk, ALimit, bad_cursor
from webhook.admin.errors import COMMON

router = APIRouter(prefix="/flushes", tags=["flushes"], responses=COMMON)

ARef = Annotated[str | None, Query(pattern=f"^{REF.pattern}$")]
AName = Annotated[str | None, Query(min_length=1, max_length=256)]


@router.get("", summary="List the flushes, discards and parts that ended, newest first")
async def list_flushes(  # noqa: PLR0913, PLR0917 - each is a filter
    desk: ADesk,
    limit: ALimit = 50,
    cursor: ACursor = None,
    ref: ARef = None,
    outcome: AName = None,
    gateway: AName = None,
    channel: AName = None,
) -> models.Flushes:
    """Return a page of the history, which is bounded. Filters leave records out."""
    filters = {"ref": ref, "outcome": outcome, "gateway": gateway, "channel": channel}
    try:
        page = await desk.insights.flushes(limit, cursor, **filters)
    except ValueError as error:
        raise bad_cursor(error) from None
    return models.Flushes(
        items=[views.flush(record, desk.sees_all) for record in page.items], next_cursor=page.next_cursor
    )
