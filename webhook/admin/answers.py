"""`/flushes/{flush_id}/answer`: where an agent that has answered 202 posts its answer."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request

from buffer.late_answer_calls import PostResult
from buffer.late_answers import LateAnswers
from buffer.models import PostedAnswer
from webhook.admin import models
from webhook.admin.desk import ADesk, Desk
from webhook.admin.errors import COMMON, ERROR
from webhook.admin.gate import ANSWER_MAX, CUT, too_large
from webhook.responses import RETRY_AFTER, HTTPError

router = APIRouter(prefix="/flushes", tags=["flushes"], responses=COMMON)

EARLY_TRIES = 10
EARLY_EVERY_S = 0.3
"""An agent may post before the worker has stored its 202. So the answer is tried for three seconds."""

TYPE_MAX = 200

ERRORS: dict[PostResult, tuple[int, str, str]] = {
    "unknown": (
        404,
        "unknown",
        "nothing waits for this answer: it came too late, or the burst was answered or discarded",
    ),
    "other": (409, "answered", "this flush has another answer already; the first one counts"),
    "early": (409, "early", "the call of this flush has not ended: answer it with 202 first, then post the same again"),
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    404: {"description": "Nothing waits for this answer", "content": ERROR},
    409: {"description": "The flush has another answer, or its call has not ended", "content": ERROR},
}
ANY_BODY = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {"schema": {}},
            "text/plain": {"schema": {"type": "string"}},
        },
    }
}


@router.post(
    "/{flush_id}/answer", summary="Post the answer to a flush later", responses=RESPONSES, openapi_extra=ANY_BODY
)
async def post_answer(desk: ADesk, flush_id: str, request: Request) -> models.Answered:
    """Store the answer once; it is sent like any other. The body is what the agent would have answered."""
    body = await request.body()
    if len(body) > ANSWER_MAX or body.endswith(CUT):
        raise too_large(ANSWER_MAX)
    content_type = request.headers.get("content-type", "")[:TYPE_MAX]
    result: PostResult = "unknown"
    if desk.is_held_id(flush_id):
        result = await _post(desk, flush_id, PostedAnswer(content_type, body))
    if result != "stored":
        status, code, detail = ERRORS[result]
        raise HTTPError(status, code, detail, RETRY_AFTER if result == "early" else ())
    desk.tell("answer", flush_id)
    return models.Answered(flush_id=flush_id, status="stored")


async def _post(desk: Desk, flush_id: str, answer: PostedAnswer) -> PostResult:
    late = LateAnswers(desk.store)
    result = await late.post(flush_id, answer)
    for _ in range(EARLY_TRIES):
        if result != "early":
            break
        await asyncio.sleep(EARLY_EVERY_S)
        result = await late.post(flush_id, answer)
    return result
