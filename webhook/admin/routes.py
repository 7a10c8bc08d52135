"""Adds the admin API to the application."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from buffer.store import Store
from webhook.admin import agents, answers, conversations, dead_letters, flushes, replies
from webhook.admin.desk import open_desks
from webhook.admin.errors import add_admin_errors


def add_admin(api: FastAPI, store: Callable[[], Store | None], not_ready_reason: Callable[[], str]) -> None:
    """Add all paths of the admin API. webhook/admin/gate.py must stand in front of the application."""
    open_desks(api, store, not_ready_reason)
    add_admin_errors(api)
    for part in (conversations, flushes, answers, dead_letters, replies, agents):
        api.include_router(part.router)
