"""What a request of the admin API works with: the store, the right to see, and the log of actions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Security
from fastapi.security import HTTPBearer

from buffer.held_lists import HeldLists
from buffer.insights import Insights
from buffer.keys import Ref
from buffer.person_store import People
from buffer.reply_store import Replies
from buffer.store import Store
from config.logs import get_logger
from webhook.admin.errors import unknown
from webhook.admin.gate import ACCESS, Access
from webhook.responses import RETRY_AFTER, HTTPError

LIMIT_MAX = 200
"""Entries of a page."""

REF = re.compile(r"\d{1,4}-[A-Za-z0-9_-]{16}", re.ASCII)
HELD_ID = re.compile(rf"{REF.pattern}-\d{{1,15}}-[A-Za-z0-9_-]{{1,64}}(\.\d{{1,9}}){{0,20}}", re.ASCII)
"""A flush_id, or one with the number of a part."""

bearer = HTTPBearer(auto_error=False, scheme_name="adminToken", description="ADMIN_TOKEN of this service")
"""Only for the description: webhook/admin/gate.py checks the token."""

log = get_logger()


@dataclass(slots=True, frozen=True)
class Desk:
    """The store as one request may use it."""

    store: Store
    access: Access

    @property
    def sees_all(self) -> bool:
        """Return True if the answer may hold numbers, names and texts."""
        return self.access.sees_all

    @property
    def people(self) -> People:
        """Return the operations on one person."""
        return People(self.store)

    @property
    def insights(self) -> Insights:
        """Return the reads over all partitions."""
        return Insights(self.store)

    @property
    def lists(self) -> HeldLists:
        """Return the lists of dead letters and of parts in doubt."""
        return HeldLists(self.store)

    @property
    def replies(self) -> Replies:
        """Return the operations on parts of answers."""
        return Replies(self.store)

    def tell(self, action: str, what: str, **more: Any) -> None:
        """Log what was done, to what, and from where. `what` never names a person in clear."""
        log.info(f"admin API: {action}", action=action, what=what, **more, **{"from": self.access.origin})

    def ref(self, text: str) -> Ref:
        """Parse the reference of a conversation. Raises HTTPError (404) if there can be none of that name."""
        if REF.fullmatch(text) and (ref := Ref.parse(text)).partition < self.store.settings.redis_partitions:
            return ref
        raise unknown("conversation", "/conversations")

    def is_held_id(self, text: str) -> bool:
        """Return True for the id of a dead letter, or of a part in doubt, that may be there."""
        found = HELD_ID.fullmatch(text) is not None
        return found and Ref.parse(text).partition < self.store.settings.redis_partitions


def open_desks(api: FastAPI, store: Callable[[], Store | None], not_ready_reason: Callable[[], str]) -> None:
    """Tell the application where its requests find the store. `store` returns None as long as it is not ready."""
    api.state.store, api.state.not_ready_reason = store, not_ready_reason


async def _desk_of(request: Request, _: Annotated[Any, Security(bearer)]) -> Desk:
    store = request.app.state.store()
    if store is None:
        raise HTTPError(503, "unavailable", request.app.state.not_ready_reason(), RETRY_AFTER)
    return Desk(store, request.scope[ACCESS])


ADesk = Annotated[Desk, Depends(_desk_of)]
ALimit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="entries of the page")]
ACursor = Annotated[str | None, Query(max_length=2048, description="`next_cursor` of the page before")]


def bad_cursor(error: ValueError) -> HTTPError:
    """Return the error for a cursor that no page has given."""
    return HTTPError(400, "bad_cursor", str(error))
