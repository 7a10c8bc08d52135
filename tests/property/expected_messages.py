"""What people wrote, by which names they are known, and what became of every message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from config.settings import Settings


class PendingChange(NamedTuple):
    """An edit, or (without fields) a revoke, which is newer than any edit."""

    at_ms: float
    fields: bytes | None = None


@dataclass(slots=True)
class SentMessage:
    """A message that somebody wrote; `taken` is when, and in which request, it was first taken under a name.

    `brought_by` is the name to which that led which brought it last without an alias.
    """

    id: str
    who: str
    payload: bytes
    media: bytes = b""
    album: bytes = bytes(4)
    order_ms: int | None = None
    taken: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    edit: PendingChange | None = None
    brought_by: str = ""


class ExpectedMessages:
    """All messages, the names known to be one person, and how many messages ended how."""

    def __init__(self, settings: Settings, names: Iterable[str]) -> None:
        self.settings = settings
        self.now_ms = 0
        self.notes: dict[str, SentMessage] = {}
        self.groups = {name: {name} for name in names}
        self.marks: dict[tuple[str, str], PendingChange] = {}
        self.waiting: dict[str, PendingChange] = {}
        self.held: Counter[str] = Counter()
        self.counters: Counter[str] = Counter()

    def linked(self, first: str, second: str) -> bool:
        """Do two names lead to one conversation?"""
        return second in self.groups[first]

    def link(self, first: str, second: str) -> None:
        """Two names turned out to be one person."""
        if self.linked(first, second):
            return
        together = self.groups[first] | self.groups[second]
        for name in together:
            self.groups[name] = together

    def forget(self, name: str) -> None:
        """A conversation was swept: its names are strangers again."""
        for each in self.groups[name]:
            self.groups[each] = {each}
            self.marks = {key: mark for key, mark in self.marks.items() if key[0] != each}

    def remembered(self, note: SentMessage, name: str, margin_ms: int = 0) -> list[bytes]:
        """The requests that brought a message to the conversation of a name, as far as ids are remembered."""
        since_ms = self.now_ms - self.settings.dedupe_ttl_ms - margin_ms
        return [nonce for known, (at_ms, nonce) in note.taken.items() if at_ms > since_ms and self.linked(known, name)]

    def is_doubtful(self, note: SentMessage, name: str) -> bool:
        """Is it within a second of being forgotten, or forgotten while it still lies there?"""
        if self.remembered(note, name):
            return False
        still_lies = self.held[note.id] > 0 and any(self.linked(known, name) for known in note.taken)
        names = [name, note.brought_by] if note.brought_by else [name]
        return still_lies or any(self.remembered(note, each, 1_001) for each in names)

    def append(self, note: SentMessage, name: str, nonce: bytes, takeovers: set[bool]) -> set[str]:
        """What may be answered to a message; `takeovers`: whether a human may be answering the person."""
        brought_by = self.remembered(note, name)
        if brought_by:
            return {"new" if nonce in brought_by else "duplicate"} | ({"duplicate"} if len(brought_by) > 1 else set())
        overtaken = "revoked" if self.mark(name, note.id) == PendingChange(float("inf")) else "new"
        return {"discarded" if takeover else overtaken for takeover in takeovers}

    def owner(self, note: SentMessage) -> str | None:
        """Return the conversation that brought a message without an alias and remembers it."""
        return note.brought_by if note.brought_by and self.remembered(note, note.brought_by) else None

    def take(self, note: SentMessage, name: str, nonce: bytes, status: str, brought_by: str) -> None:
        """A message that was not remembered was answered with this; without an alias, it is known who brought it."""
        note.taken = {known: at for known, at in note.taken.items() if not self.linked(known, name)}
        note.taken[name] = (self.now_ms, nonce)
        note.brought_by = brought_by or note.brought_by
        self.counters["messages_accepted"] += status == "new"
        self.counters["messages_discarded"] += status in ("discarded", "revoked")
        self.held[note.id] += status == "new"
        note.edit = self.use_up(name, note.id)

    def edit(self, note: SentMessage, name: str, mark: PendingChange, *, is_open: bool) -> str:
        """What must be answered to an edit."""
        if is_open:
            return self._change(note, mark)
        if self.remembered(note, name):
            return "late"
        known = self.mark(name, note.id)
        if known and known.at_ms > mark.at_ms:
            return "older"
        self.use_up(name, note.id)
        self.marks[name, note.id] = mark
        return "early"

    def revoke(self, note: SentMessage, name: str, *, is_open: bool) -> str:
        """What must be answered to a revoke."""
        if is_open:
            self.end([note.id], "discarded")
            return "removed"
        if self.remembered(note, name):
            return "late"
        self.marks[name, note.id] = PendingChange(float("inf"))
        return "early"

    def end(self, ids: Iterable[str], total: str) -> None:
        """Messages were delivered (`acked`) or thrown away (`discarded`)."""
        gone = Counter(ids)
        self.held = self.held - gone
        if total == "discarded":
            self.counters["messages_discarded"] += gone.total()
        else:
            self.counters[total] += 1

    def _change(self, note: SentMessage, mark: PendingChange) -> str:
        if note.edit and note.edit.at_ms > mark.at_ms:
            return "older"
        note.edit = mark
        return "changed"

    def mark(self, name: str, note_id: str) -> PendingChange | None:
        """What waits for a message under any name of its person."""
        found = [self.marks[each, note_id] for each in self.groups[name] if (each, note_id) in self.marks]
        return max(found, default=None)

    def use_up(self, name: str, note_id: str) -> PendingChange | None:
        """Forget what waits for a message under any name of its person. Return the newest, if it is an edit."""
        mark = self.mark(name, note_id)
        for each in self.groups[name]:
            self.marks.pop((each, note_id), None)
        return mark if mark and mark.fields else None
