"""`/conversations`: what waits, one conversation, the actions on it, and the erase of a person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query

from buffer.insight_models import ConversationView
from buffer.keys import Ref
from buffer.models import Conversation, PauseMode
from buffer.operator_models import PendingState
from config.logs import mask_phones
from webhook.admin import models, views
from webhook.admin.desk import ACursor, ADesk, ALimit, Desk, bad_cursor
from webhook.admin.errors import COMMON, UNKNOWN, unknown

router = APIRouter(prefix="/conversations", tags=["conversations"], responses=COMMON)


async def _found(desk: Desk, text: str) -> tuple[Ref, ConversationView]:
    """Return a conversation without its messages. Raises HTTPError (404) if it is unknown."""
    view = await desk.people.look(ref := desk.ref(text), 0)
    if view is None:
        raise unknown("conversation", "/conversations")
    return ref, view


@router.get("", summary="List the conversations that wait, soonest first")
async def list_conversations(
    desk: ADesk, limit: ALimit = 50, cursor: ACursor = None, state: Annotated[PendingState | None, Query()] = None
) -> models.Conversations:
    """Return a page. A `state` leaves others out of the page, which costs the same."""
    try:
        page = await desk.insights.pending(limit, cursor)
    except ValueError as error:
        raise bad_cursor(error) from None
    items = [views.listed(one, desk.sees_all) for one in page.items if state in (None, one.state)]
    return models.Conversations(items=items, next_cursor=page.next_cursor, total=page.total)


@router.post("/find", summary="Find the conversation of a person", responses=UNKNOWN)
async def find(desk: ADesk, person: models.PersonBody) -> models.Found:
    """Return the reference of the conversation, under whichever name of the person it is."""
    view = await desk.people.look(desk.store.ref(_conversation(person)), 0)
    if view is None:
        raise unknown("conversation", "/conversations")
    return models.Found(ref=view.ref)


@router.post("/erase", summary="Erase a person: delete everything that is held of them on a channel")
async def erase_person(desk: ADesk, person: models.PersonBody) -> models.ErasedBody:
    """Delete what is held under all names of the person. It is logged and recorded without naming them."""
    result = views.erased(await desk.people.erase(_conversation(person)))
    desk.tell("erase", f"a person on {person.gateway}/{mask_phones(person.channel)}", **result.model_dump())
    return result


@router.get("/{ref}", summary="Look at a conversation", responses=UNKNOWN)
async def look(desk: ADesk, ref: str) -> models.ConversationBody:
    """Return all that it holds and waits for, with its first messages."""
    view = await desk.people.look(desk.ref(ref))
    if view is None:
        raise unknown("conversation", "/conversations")
    desk.tell("look", ref)
    return views.conversation_body(view, desk.sees_all)


@router.delete("/{ref}", summary="Erase the person of a conversation", responses=UNKNOWN)
async def erase(desk: ADesk, ref: str) -> models.ErasedBody:
    """Delete what is held under all names of the person. It is logged and recorded without naming them."""
    result = views.erased(await desk.people.erase_ref(desk.ref(ref)))
    desk.tell("erase", "the person of a conversation", **result.model_dump())
    return result


@router.post("/{ref}/flush", summary="Close its open burst at once", responses=UNKNOWN)
async def flush(desk: ADesk, ref: str) -> models.Flushed:
    """Make the burst due now. It goes out after a batch that is in flight."""
    found, _ = await _found(desk, ref)
    messages = await desk.people.flush_now(found)
    desk.tell("flush", ref, messages=messages)
    return models.Flushed(messages=messages)


@router.post("/{ref}/discard", summary="Discard its burst and its batch, with a record", responses=UNKNOWN)
async def discard(desk: ADesk, ref: str) -> models.Discarded:
    """Discard what is not delivered yet. A call in flight is given up."""
    found, _ = await _found(desk, ref)
    messages, in_flight = await desk.people.discard(found)
    desk.tell("discard", ref, messages=messages, in_flight=in_flight)
    return models.Discarded(messages=messages, in_flight=in_flight)


@router.post("/{ref}/pause", summary="Pause it for a while", responses=UNKNOWN)
async def pause(desk: ADesk, ref: str, how: Annotated[models.PauseBody | None, Body()] = None) -> models.Paused:
    """Hold messages and replies, or leave the person to a human, until the end of the pause."""
    how = how or models.PauseBody()
    found, view = await _found(desk, ref)
    until_ms = await desk.people.pause(found, view.conversation, round(how.seconds * 1000), PauseMode(how.mode))
    desk.tell("pause", ref, seconds=how.seconds, mode=how.mode)
    return models.Paused(paused_until_ms=until_ms)


@router.post("/{ref}/resume", summary="End its pause", responses=UNKNOWN)
async def resume(desk: ADesk, ref: str) -> models.Resumed:
    """Deliver what was held, at its deadline or at once."""
    found, _ = await _found(desk, ref)
    was_paused = await desk.people.resume(found)
    desk.tell("resume", ref, was_paused=was_paused)
    return models.Resumed(was_paused=was_paused)


def _conversation(person: models.PersonBody) -> Conversation:
    return Conversation(person.gateway, person.channel, person.id)
