"""`/dead-letters`: list, look, retry, discard, export."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import orjson
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from buffer.errors import StoreError
from buffer.operator_models import DeadLetter
from webhook.admin import models, views
from webhook.admin.desk import ACursor, ADesk, ALimit, Desk, bad_cursor
from webhook.admin.errors import COMMON, GONE, NDJSON, UNKNOWN, export_error, unknown
from webhook.responses import HTTPError

router = APIRouter(prefix="/dead-letters", tags=["dead letters"], responses=COMMON)

EXPORT_PAGE = 20
"""Dead letters that the export reads at a time: each may hold MESSAGE_BUFFER_MAX_BYTES."""

RETRY_PAGE = 500
"""Dead letters that one retry of all looks at."""

AT_ONCE = 50
"""Redrives under way at a time."""

GONE_TEXT = "its messages are gone from Redis, so it cannot be delivered; POST its /discard removes it"


@router.get("", summary="List the dead letters, oldest first")
async def list_dead_letters(desk: ADesk, limit: ALimit = 50, cursor: ACursor = None) -> models.DeadLettersBody:
    """Return a page."""
    try:
        page = await desk.lists.dead_letters(limit, cursor)
    except ValueError as error:
        raise bad_cursor(error) from None
    items = [views.dead_letter(letter, desk.sees_all) for letter in page.items]
    return models.DeadLettersBody(items=items, next_cursor=page.next_cursor, total=page.total)


@router.get(
    "/export",
    summary="Export all dead letters",
    response_class=StreamingResponse,
    responses={200: {"description": "One JSON object a line, each as a look returns it", "content": {NDJSON: {}}}},
)
async def export(desk: ADesk) -> StreamingResponse:
    """Stream all dead letters, oldest first. Redis is read in small steps."""
    desk.tell("export", "all dead letters")
    return StreamingResponse(_lines(desk), media_type=NDJSON)


async def _lines(desk: Desk) -> AsyncIterator[bytes]:
    """Yield the lines. If Redis fails on the way, the last one is an error, so that nobody takes the file for whole."""
    cursor = None
    try:
        while True:
            page = await desk.lists.dead_letters(EXPORT_PAGE, cursor)
            for view in await desk.lists.look_at([letter.flush_id for letter in page.items]):
                yield orjson.dumps(views.dead_letter_look(view, desk.sees_all).model_dump()) + b"\n"
            cursor = page.next_cursor
            if cursor is None:
                return
    except StoreError as error:
        yield export_error(error)


@router.post("/retry", summary="Deliver many dead letters again")
async def retry_many(desk: ADesk, which: models.RetryBody) -> models.RetriedMany:
    """Redrive those that are named, or some of all and say where to go on."""
    flush_ids, next_cursor = which.flush_ids or [], None
    if which.all:
        try:
            page = await desk.lists.dead_letters(RETRY_PAGE, which.cursor)
        except ValueError as error:
            raise bad_cursor(error) from None
        flush_ids = [letter.flush_id for letter in page.items if _is_of(letter, which)]
        next_cursor = page.next_cursor
    results = await _redrive_each(desk, flush_ids)
    count = Counter(results.values())
    failed = [flush_id for flush_id, result in results.items() if result in ("gone", "unknown")]
    desk.tell("retry", f"{len(results)} dead letters", ok=count["ok"], already=count["already"], failed=len(failed))
    return models.RetriedMany(ok=count["ok"], already=count["already"], failed=failed, next_cursor=next_cursor)


def _is_of(letter: DeadLetter, which: models.RetryBody) -> bool:
    gateway, channel, _ = letter.conversation
    return which.gateway in (None, gateway) and which.channel in (None, channel)


async def _redrive_each(desk: Desk, flush_ids: Sequence[str]) -> dict[str, str]:
    """Redrive dead letters, a few at a time. Return the result of each."""

    async def redrive(flush_id: str) -> str:
        return await desk.store.redrive(flush_id) if desk.is_held_id(flush_id) else "unknown"

    results: dict[str, str] = {}
    for at in range(0, len(flush_ids), AT_ONCE):
        some = flush_ids[at : at + AT_ONCE]
        results.update(zip(some, await asyncio.gather(*map(redrive, some)), strict=True))
    return results


@router.get("/{flush_id}", summary="Look at a dead letter", responses=UNKNOWN)
async def look(desk: ADesk, flush_id: str) -> models.DeadLetterLook:
    """Return all that it holds, with its first messages."""
    view = await desk.lists.look(flush_id) if desk.is_held_id(flush_id) else None
    if view is None:
        raise unknown("dead letter", "/dead-letters")
    desk.tell("look", flush_id)
    return views.dead_letter_look(view, desk.sees_all)


@router.post("/{flush_id}/retry", summary="Deliver a dead letter again", responses=UNKNOWN | GONE)
async def retry(desk: ADesk, flush_id: str) -> models.Retried:
    """Deliver it with its old id, before anything new of its conversation."""
    result = (await _redrive_each(desk, [flush_id]))[flush_id]
    if result == "unknown":
        raise unknown("dead letter", "/dead-letters")
    desk.tell("retry", flush_id, result=result)
    if result == "gone":
        raise HTTPError(409, "gone", GONE_TEXT)
    return models.Retried(flush_id=flush_id, result="already" if result == "already" else "ok")


@router.post("/{flush_id}/discard", summary="Discard a dead letter, with a record", responses=UNKNOWN)
async def discard(desk: ADesk, flush_id: str) -> models.DiscardedLetter:
    """Delete it and its messages. No agent will get them."""
    if not desk.is_held_id(flush_id) or await desk.store.discard_letter(flush_id) == "unknown":
        raise unknown("dead letter", "/dead-letters")
    desk.tell("discard", flush_id)
    return models.DiscardedLetter(flush_id=flush_id)
