"""The dead letters and the parts in doubt of all partitions, oldest first, in pages of bounded cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from buffer.index_pages import IndexPages, Place, execute, whole
from buffer.insight_models import HeldMessage, Page
from buffer.keys import Ref
from buffer.models import Conversation
from buffer.operator_models import DeadLetter
from buffer.person_calls import held_messages
from buffer.reply_models import Doubt
from buffer.store import Store

MESSAGES_MAX = 100
"""Messages of a dead letter that a look returns."""

LETTER_FIELDS = ("redriven", "gateway", "channel", "peer", "error", "claims")
LOOK_FIELDS = (*LETTER_FIELDS, "name", "reason", "closed_ms", "died_ms", "answer", "next_part")
DOUBT_FIELDS = ("gateway", "channel", "peer", "reason", "number", "answer")


@dataclass(slots=True, frozen=True)
class LetterView:
    """A dead letter with its first messages and the texts of its answer. `messages` counts all that are still there."""

    letter: DeadLetter
    name: str
    reason: str
    closed_ms: int | None
    next_part: int
    messages: int
    shown: list[HeldMessage] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)


class HeldLists:
    """The lists of a store. Each read may raise StoreUnavailable or StoreError, and ValueError for a wrong cursor."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def dead_letters(self, limit: int, cursor: str | None = None) -> Page[DeadLetter]:
        """Return a page of the dead letters, oldest first. One that went meanwhile is left out."""
        places, following, total = await IndexPages(self._store, "dead").page(limit, cursor)
        rows = await self._rows(places, "letter", LETTER_FIELDS, "remains")
        letters = [_letter(place, *row) for place, row in zip(places, rows, strict=True)]
        return Page(letters, following, total)

    async def doubts(self, limit: int, cursor: str | None = None) -> Page[Doubt]:
        """Return a page of the parts in doubt, oldest first."""
        places, following, total = await IndexPages(self._store, "doubt").page(limit, cursor)
        rows = await self._rows(places, "doubted", DOUBT_FIELDS)
        return Page([_doubt(place, fields) for place, (fields, _) in zip(places, rows, strict=True)], following, total)

    async def look(self, flush_id: str, limit: int = MESSAGES_MAX) -> LetterView | None:
        """Return a dead letter with its first `limit` messages, None if it is unknown."""
        found = await self.look_at([flush_id], limit)
        return found[0] if found else None

    async def look_at(self, flush_ids: Sequence[str], limit: int = MESSAGES_MAX) -> list[LetterView]:
        """Return those of the dead letters that are there, each with its first `limit` messages."""
        pipeline = self._store.client.pipeline(transaction=False)
        for flush_id in flush_ids:
            partition = Ref.parse(flush_id).partition
            pipeline.zscore(self._store.keys.of(partition, "dead"), flush_id)
            pipeline.hmget(self._store.keys.of(partition, "letter", flush_id), list(LOOK_FIELDS))
            pipeline.llen(self._store.keys.of(partition, "remains", flush_id))
            pipeline.lrange(self._store.keys.of(partition, "remains", flush_id), 0, limit - 1)
        replies = await execute(pipeline)
        rows = (replies[at : at + 4] for at in range(0, len(replies), 4))
        return [_view(flush_id, *row) for flush_id, row in zip(flush_ids, rows, strict=True) if _is_there(row)]

    async def _rows(
        self, places: Sequence[Place], kind: str, fields: Sequence[str], counted: str | None = None
    ) -> list[tuple[list[bytes | None], int]]:
        """Return the fields of each entry, and the length of a list of it."""
        pipeline = self._store.client.pipeline(transaction=False)
        for _, held in places:
            partition = Ref.parse(held).partition
            pipeline.hmget(self._store.keys.of(partition, kind, held), list(fields))
            pipeline.llen(self._store.keys.of(partition, counted or kind, held))
        replies = await execute(pipeline)
        empty: list[bytes | None] = [None] * len(fields)
        return [
            (row if isinstance(row, list) else empty, max(0, whole(length)))
            for row, length in zip(replies[::2], replies[1::2], strict=True)
        ]


def _letter(place: Place, fields: Sequence[bytes | None], messages: int) -> DeadLetter:
    redriven_ms, gateway, channel, peer, error, claims = fields
    who = Conversation(_text(gateway), _text(channel), _text(peer))
    redriven = whole(redriven_ms) if redriven_ms else None
    return DeadLetter(place.id, place.at_ms, redriven, who, _text(error), messages, max(0, whole(claims)))


def _doubt(place: Place, fields: Sequence[bytes | None]) -> Doubt:
    gateway, channel, peer, reason, number, answer = fields
    who = Conversation(_text(gateway), _text(channel), _text(peer))
    return Doubt(place.id, place.at_ms, who, _text(reason), max(0, whole(number)), answer or b"")


def _is_there(row: Sequence[Any]) -> bool:
    """Return True for a dead letter of the index, or one that is about to be delivered again."""
    died_ms, fields, _, _ = row
    return isinstance(died_ms, float) or (isinstance(fields, list) and any(fields))


def _view(flush_id: str, died_ms: Any, fields: Any, length: Any, entries: Any) -> LetterView:
    row = fields if isinstance(fields, list) else [None] * len(LOOK_FIELDS)
    name, reason, closed_ms, died_field, answer, next_part = row[len(LETTER_FIELDS) :]
    messages = max(0, whole(length))
    place = Place(int(died_ms if isinstance(died_ms, float) else max(0, whole(died_field))), flush_id)
    return LetterView(
        letter=_letter(place, row[: len(LETTER_FIELDS)], messages),
        name=_text(name),
        reason=_text(reason),
        closed_ms=whole(closed_ms) if closed_ms else None,
        next_part=max(0, whole(next_part)),
        messages=messages,
        shown=held_messages(entries if isinstance(entries, list) else []),
        replies=texts_of(answer or b""),
    )


def texts_of(answer: bytes) -> list[str]:
    """Return the texts of the parts of a stored answer, and the address of a part that has no text."""
    try:
        parts = orjson.loads(answer)["parts"]
        return [str(part.get("text") or part.get("url") or "") for part in parts]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
