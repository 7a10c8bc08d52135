"""People with several names who edit, delete and send albums: every action is done to the system and to a record.

Unlike ModelComparison this has no model of the whole state: the keys are checked (invariants_with_aliases.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buffer.keys import fingerprint_of
from buffer.models import Append, Change, PauseMode
from buffer.presence import PresenceKind
from tests.held_burst import HeldBurst
from tests.property.expected_messages import PendingChange, SentMessage
from tests.property.redis_system import Snapshot, System
from tests.property.walk_settings import PAYLOAD_SIZES
from tests.property.worker_actions import WorkerActions

REMEMBERED_MAX = 10
HELD, LET_GO = 2, 8
"""Flags of an open burst (lua/include/prelude.lua)."""


class Request(NamedTuple):
    """One webhook request: its nonce, the names it tells, and what it brings."""

    nonce: bytes
    name: str
    alias: str | None
    notes: Sequence[SentMessage]


class PeopleActions(WorkerActions):
    """People under all their names; the workers that deals with what they say comes with them."""

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self.requests: list[Request] = []
        self.unsent: list[SentMessage] = []

    # What people and gateways do

    def say(
        self, who: str, one: int, alias: int | None, *, count: int, media: bool, album: bool, shift_ms: int
    ) -> None:
        order_ms = self.expected.now_ms + shift_ms if shift_ms else None
        notes = [self._note(who, order_ms) for _ in range(count)]
        for note in notes:
            note.media = b"media of " + note.id.encode() if media else b""
            note.album = fingerprint_of(notes[0].id)[:4] if album else bytes(4)
        self._request(one, alias, notes)

    def say_at_last(self, index: int, one: int, alias: int | None) -> None:
        """A message that was overtaken by its edit or revoke."""
        if self.unsent:
            self._request(one, alias, [self.unsent.pop(index % len(self.unsent))])

    def resend(self, index: int) -> None:
        """The reply was lost: the same request again."""
        if self.requests:
            self._append(self.requests[-1 - index % len(self.requests)])

    def repeat(self, index: int, one: int, alias: int | None) -> None:
        """The gateway delivers again, perhaps under other names; strangers have a memory each."""
        if self.requests:
            notes = self.requests[-1 - index % len(self.requests)].notes
            name, other = self._names(notes[0].who, one, alias)
            self._append(Request(self._nonce(), name, other, notes))

    def meet(self, who: str, alias: int) -> None:
        """The gateway delivers the last message of a person again, and tells another name."""
        if mine := [request for request in self.requests if request.notes[0].who == who]:
            self._append(mine[-1]._replace(nonce=self._nonce(), alias=self._names(who, alias)[0]))

    def edit(self, index: int, one: int, shift_ms: int | None) -> None:
        """The newest message has index 0."""
        if self.requests:
            self._edit(self._noted(index), one, shift_ms)

    def edit_before(self, who: str, one: int, shift_ms: int | None) -> None:
        self.unsent.append(self._note(who, None))
        self._edit(self.unsent[-1], one, shift_ms)

    def revoke(self, index: int, one: int) -> None:
        if self.requests:
            self._revoke(self._noted(index), one)

    def revoke_before(self, who: str, one: int) -> None:
        self.unsent.append(self._note(who, None))
        self._revoke(self.unsent[-1], one)

    def type(self, who: str, one: int, kind: PresenceKind) -> None:
        name = self._names(who, one)[0]
        conv = self.picture.conv(self._place(name))
        expected = 0
        if conv.get("opened_ms") and not conv.get("fired"):
            before = _held_burst(conv)
            after = before.after(kind, self.expected.now_ms, self.system.settings)
            expected = after.deadline_ms if after != before else 0
        assert self.system.presence(self.talks[name], kind) == expected

    # How it is done

    def _note(self, who: str, order_ms: int | None) -> SentMessage:
        self.serial += 1
        note_id = f"m{self.serial}"
        payload = json.dumps({"message_id": note_id}).ljust(PAYLOAD_SIZES[self.serial % 3]).encode()
        self.expected.notes[note_id] = SentMessage(note_id, who, payload, order_ms=order_ms)
        return self.expected.notes[note_id]

    def _noted(self, index: int) -> SentMessage:
        notes = [note for request in self.requests for note in request.notes]
        return notes[-1 - index % len(notes)]

    def _nonce(self) -> bytes:
        self.serial += 1
        return b"%04d" % (self.serial % 10_000)

    def _request(self, one: int, alias: int | None, notes: Sequence[SentMessage]) -> None:
        name, other = self._names(notes[0].who, one, alias)
        self.requests = [*self.requests[1 - REMEMBERED_MAX :], Request(self._nonce(), name, other, notes)]
        self._append(self.requests[-1])

    def _append(self, request: Request) -> None:
        is_stale = request.notes[0].order_ms and self._is_stale(request.notes[0].order_ms)
        known = self.expected.groups[request.name]
        if not request.alias and not is_stale:
            self._meet_by_id(request)
        takeovers = self._takeovers(request)
        if request.alias and not is_stale:
            self.expected.link(request.name, request.alias)
        notes = [note for note in request.notes if self._is_clear(note, request.name)]
        if notes or is_stale:
            found = self.system.append([self._message(note, request) for note in notes])
            for note, appended in zip(notes, found, strict=True):
                self._took(note, request, appended.status, {"stale"} if is_stale else takeovers)
        elif request.alias:
            self._append(request._replace(notes=[self._note(request.notes[0].who, None)]))
        if known is not self.expected.groups[request.name]:
            self._united(request.name, True in takeovers)

    def _meet_by_id(self, request: Request) -> None:
        """A message that came under another name tells that both are one person, if that name still remembers it."""
        for note in request.notes:
            if self.expected.remembered(note, request.name):
                continue
            if owner := self.expected.owner(note):
                self.expected.link(request.name, owner)

    def _is_stale(self, order_ms: int) -> bool:
        return 0 < self.system.settings.max_age_ms < self.expected.now_ms - order_ms

    def _is_clear(self, note: SentMessage, name: str) -> bool:
        """Copies among strangers have no media: it lies by fingerprint, once for a person."""
        is_known = bool(self.expected.remembered(note, name))
        return not self.expected.is_doubtful(note, name) and (
            is_known or not note.media or not self.expected.held[note.id]
        )

    def _message(self, note: SentMessage, request: Request) -> Append:
        return Append(
            self.talks[request.name],
            fingerprint_of(note.id),
            request.nonce,
            note.payload,
            note.order_ms,
            alias=self.talks[request.alias] if request.alias else None,
            media=note.media,
            album=note.album,
            is_unique_in_channel=True,
        )

    def _took(self, note: SentMessage, request: Request, status: str, expected: set) -> None:
        if expected == {"stale"}:
            self.expected.counters["messages_stale"] += 1
            assert status == "stale"
            return
        is_known = bool(self.expected.remembered(note, request.name))
        possible = self.expected.append(note, request.name, request.nonce, expected)
        assert status in possible, f"{status} for {note.id}, not {possible}"
        if is_known:
            self.expected.counters["messages_duplicate"] += status == "duplicate"
        else:
            brought_by = "" if request.alias else self.names[self.system.resolve(self.talks[request.name])]
            self.expected.take(note, request.name, request.nonce, status, brought_by)

    def _takeovers(self, request: Request) -> set[bool]:
        """Whether a human answers: of several pauses the one that ends last counts."""
        names = self.expected.groups[request.name] | self.expected.groups[request.alias or request.name]
        convs = [self.picture.conv(self._place(name)) for name in names]
        untils = [int(conv.get("paused_until_ms", 0)) for conv in convs]
        if max(untils) <= self.expected.now_ms:
            return {False}
        latest = [conv for conv, until_ms in zip(convs, untils, strict=True) if until_ms == max(untils)]
        return {conv["pause_mode"] == PauseMode.TAKEOVER for conv in latest}

    def _united(self, name: str, takeover: bool) -> None:
        """What uniting may throw away: copies, and what a human's takeover of the other name discards."""
        picture = self.system.look()
        self._check_pause(name, picture)
        gone = self.expected.held - picture.held()
        for note_id in gone:
            note = self.expected.notes[note_id]
            places = [known for known in note.taken if self.expected.linked(known, name)]
            assert gone[note_id] < len(places) + takeover, f"{note_id} was lost when names were united"
        self.expected.end(gone.elements(), "discarded")

    def _check_pause(self, name: str, picture: Snapshot) -> None:
        """Of the pauses of names that are united the one that ends last counts."""
        until_ms = max(self._paused_until_ms(self.picture, each) for each in self.expected.groups[name])
        if until_ms > self.expected.now_ms:
            assert self._paused_until_ms(picture, name) == until_ms, "a pause was lost when names were united"

    def _paused_until_ms(self, picture: Snapshot, name: str) -> int:
        return int(picture.conv(picture.resolve(self.hashes[name])).get("paused_until_ms", 0))

    def _edit(self, note: SentMessage, one: int, shift_ms: int | None) -> None:
        name = self._names(note.who, one)[0]
        if len(note.taken) > 1 or self.expected.is_doubtful(note, name):
            return
        self.serial += 1
        now_ms = self.expected.now_ms
        edited_ms = None if shift_ms is None else now_ms + shift_ms
        fields = json.dumps({"text": f"edit {self.serial}"}).encode()
        expected = self.expected.edit(
            note,
            name,
            PendingChange(now_ms if edited_ms is None else edited_ms, fields),
            is_open=self._is_open(note, name),
        )
        assert self.system.edit(self.talks[name], Change(fingerprint_of(note.id), edited_ms, fields)) == expected

    def _revoke(self, note: SentMessage, one: int) -> None:
        name = self._names(note.who, one)[0]
        if len(note.taken) <= 1 and not self.expected.is_doubtful(note, name):
            expected = self.expected.revoke(note, name, is_open=self._is_open(note, name))
            assert self.system.revoke(self.talks[name], fingerprint_of(note.id)) == expected

    def _is_open(self, note: SentMessage, name: str) -> bool:
        return note.id in self.picture.ids("buffer", self._place(name))


def _held_burst(conv: Mapping[str, str]) -> HeldBurst:
    flags, quiet_ms = int(conv["flags"]), int(conv["last_ms"]) + int(conv["window_ms"])
    return HeldBurst(
        int(conv["opened_ms"]), quiet_ms, int(conv["deadline_ms"]), bool(flags & HELD), bool(flags & LET_GO)
    )
