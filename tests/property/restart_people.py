"""People with several names, edits and revokes, whose messages take their batches back."""

from __future__ import annotations

from collections import Counter

from buffer.keys import fingerprint_of
from buffer.models import Change, FailureMode
from tests.property.expected_messages import PendingChange, SentMessage
from tests.property.people_scenes import PeopleScenes
from tests.property.redis_system import Snapshot
from tests.property.walk_settings import RESTARTS_MAX

REVOKED = PendingChange(float("inf"))


class RestartPeople(PeopleScenes):
    """The actions of people, on a route where a message takes back the batch before it.

    A change of a message that is on its way back waits until it is there (`expected.waiting`).
    """

    def go_on(self, who: str, one: int, *, alias: int | None, count: int, media: bool, end: FailureMode | None) -> None:
        """A person writes, perhaps under another name, while the agent has their burst; then the worker hears of it."""
        self._say(who, one, media=media)
        self.check()
        self.serve(who, one, None)
        self.say(who, one, alias, count=count, media=False, album=False, shift_ms=0)
        self.check()
        if end:
            self.fail(0, end, 5_000)

    def edit_while_taken_back(self, who: str, one: int, shift_ms: int | None, revoke: bool) -> None:
        """A message is changed while its batch is on the way back; a claim or the worker puts it back then."""
        self._say(who, one, media=True)
        self.check()
        self.go_on(who, one, alias=None, count=1, media=True, end=None)
        going = [note_id for note_id in self._going_back() if self.people[self._name_of(note_id)] == who]
        if going:
            self.check()
            note = self.expected.notes[going[0]]
            self._revoke(note, one) if revoke else self._edit(note, one, shift_ms)
            self.check()
            self.fail(0, "release", 0)

    def check(self) -> None:
        self._settle(self.system.look())
        super().check()
        _check_records(self.picture)

    # How it is done

    def _name_of(self, note_id: str) -> str:
        return next(iter(self.expected.notes[note_id].taken))

    def _going_back(self) -> list[str]:
        return sorted(_on_the_way_back(self.picture))

    def _edit(self, note: SentMessage, one: int, shift_ms: int | None) -> None:
        if not self._is_going_back(note, one):
            return super()._edit(note, one, shift_ms)
        self.serial += 1
        edited_ms = self.expected.now_ms + (shift_ms or 0)
        fields = b'{"text": "edit %d"}' % self.serial
        change, before = PendingChange(edited_ms, fields), self.expected.waiting.get(note.id)
        found = self.system.edit(
            self.talks[self._names(note.who, one)[0]], Change(fingerprint_of(note.id), edited_ms, fields)
        )
        is_older = bool(before and before.at_ms > change.at_ms)
        assert found == ("older" if is_older else "changed")
        if not is_older:
            self.expected.waiting[note.id] = change

    def _revoke(self, note: SentMessage, one: int) -> None:
        if not self._is_going_back(note, one):
            return super()._revoke(note, one)
        found = self.system.revoke(self.talks[self._names(note.who, one)[0]], fingerprint_of(note.id))
        assert found == "removed"
        self.expected.waiting[note.id] = REVOKED

    def _is_going_back(self, note: SentMessage, one: int) -> bool:
        place = self._place(self._names(note.who, one)[0])
        conv = self.picture.conv(place)
        is_marked = "superseded" in conv and "cancelled" not in conv
        return is_marked and note.id in self.picture.ids("batch", place)

    def _settle(self, picture: Snapshot) -> None:
        """Changes are made when their message is back in its burst, or sealed anew; if it stays sealed, never."""
        still = _on_the_way_back(picture)
        for note_id in _on_the_way_back(self.picture) - still:
            self._settle_early(picture, note_id)
        for note_id, change in list(self.expected.waiting.items()):
            if note_id in still:
                continue
            del self.expected.waiting[note_id]
            note, place = self.expected.notes[note_id], _place_of(picture, note_id)
            was = self.picture.conv(place or "").get("flush_id")
            is_back = place is not None and picture.conv(place).get("flush_id") != was
            if change == REVOKED and self.expected.held[note_id] and place is None:
                self.expected.end([note_id], "discarded")
            assert change != REVOKED or not is_back, "a message that was revoked is told"
            if is_back and change.fields and not (note.edit and note.edit.at_ms > change.at_ms):
                note.edit = change

    def _settle_early(self, picture: Snapshot, note_id: str) -> None:
        """A change that came early under another name: a revoke counts, or all is forgotten as the batch stays."""
        name, place = self._name_of(note_id), _place_of(picture, note_id)
        flush_ids = [look.conv(place or "").get("flush_id") for look in (self.picture, picture)]
        is_sealed = place is not None and flush_ids[0] == flush_ids[1]
        is_revoked = self.expected.mark(name, note_id) == REVOKED
        assert not is_revoked or place is None or is_sealed, "a message that was revoked is told"
        if is_revoked and place is None and self.expected.held[note_id]:
            self.expected.end([note_id], "discarded")
        marks = picture.table("mark", picture.resolve(self.hashes[name]))
        if (place is None or is_sealed) and fingerprint_of(note_id) not in marks:
            self.expected.use_up(name, note_id)


def _on_the_way_back(picture: Snapshot) -> set[str]:
    """The messages of batches that are marked."""
    convs = {name: picture.conv(name) for name in picture.values["batch"]}
    marked = [name for name, conv in convs.items() if "superseded" in conv and "cancelled" not in conv]
    return {note_id for name in marked for note_id in picture.ids("batch", name)}


def _place_of(picture: Snapshot, note_id: str) -> str | None:
    """The conversation that holds a message, in its burst or its batch."""
    for kind in ("buffer", "batch"):
        for name in picture.values[kind]:
            if note_id in picture.ids(kind, name):
                return name
    return None


def _check_records(picture: Snapshot) -> None:
    """Each flush that was taken back is recorded once, with its successor or why there is none, or waits for that."""
    records = [entry for entry in picture.history() if entry["outcome"] == "superseded"]
    assert all(("successor" in entry) != ("cause" in entry) for entry in records)
    assert max(Counter(entry["flush_id"] for entry in records).values(), default=1) == 1, "recorded twice"
    waiting = sum(
        picture.table("conv", name).get(b"taken_back", b"").count(b"\xaasuperseded") for name in _convs(picture)
    )
    assert len(records) + waiting == picture.totals().get("flushes_superseded", 0), "a record is missing"
    for name in _convs(picture):
        chain = picture.conv(name).get("supersedes", "").split()
        assert len(chain) == len(set(chain)) <= 2 * RESTARTS_MAX, "two bursts of one person were taken back too often"


def _convs(picture: Snapshot) -> list[str]:
    return list(picture.values["conv"])
