"""`/agents`: the agents that fail for everyone, so that their calls are held."""

from __future__ import annotations

from fastapi import APIRouter

from buffer.held_agents import HeldAgents
from webhook.admin import models
from webhook.admin.desk import ADesk
from webhook.admin.errors import COMMON

router = APIRouter(prefix="/agents", tags=["agents"], responses=COMMON)


@router.get("", summary="List the agents whose calls are held")
async def list_agents(desk: ADesk) -> models.AgentsBody:
    """Return those that fail for everyone, the longest first. Without a token neither address nor reason is shown."""
    now_ms, held = await HeldAgents(desk.store).now()
    items = [
        models.AgentBody(
            id=one.tag,
            address=one.address if desk.sees_all else None,
            reason=one.reason if desk.sees_all else None,
            since_ms=one.since_ms,
            probe_ms=one.until_ms,
            waiting=one.waiting,
        )
        for one in held
    ]
    return models.AgentsBody(now_ms=now_ms, items=items)
