"""People with several names who edit, delete and send albums: every action is done to the system and to a ledger.

Unlike the World this has no model of the whole state: what must be true is looked up in the keys (safety.py).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from buffer.keys import Ref, fingerprint_of
from buffer.models import Append, Batch, Change, Conversation, PauseMode
from tests.property import safety
from tests.property.ledger import Ledger, Mark, Note
from tests.property.setting import NAMES, PAYLOAD_SIZES, START_MS
from tests.property.system import System

REMEMBERED_MAX = 10


class Flight(NamedTuple):
    """A worker that was given a batch."""

    name: str
    caller: str
    token: str


class Request(NamedTuple):
    """One webhook request: its nonce, the names it tells, and what it brings."""

    nonce: bytes
    name: str
    twin: str | None
    notes: Sequence[Note]


class Crowd:
    """People under all their names, workers, a job queue, and time."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.talks = {name: Conversation("generic", "loja", name) for names in NAMES.values() for name in names}
        self.names = {system.ref(talk).hash: name for name, talk in self.talks.items()}
        self.hashes = {name: hash_ for hash_, name in self.names.items()}
        self.people = {name: who for who, names in NAMES.items() for name in names}
        self.ledger = Ledger(system.settings, self.talks)
        self.requests: list[Request] = []
        self.unsent: list[Note] = []
        self.jobs: list[str] = []
        self.flights: list[Flight] = []
        self.bodies: dict[str, object] = {}
        self.latest_ms: defaultdict[str, int] = defaultdict(int)
        self.serial = 0
        self.is_sealing = False
        system.clear()
        system.now_ms = self.ledger.now_ms = START_MS
        self.before = self.picture = system.look()

    # What people and gateways do

    def say(self, who: str, one: int, twin: int | None, *, count: int, media: bool, album: bool, shift_ms: int) -> None:
        order_ms = self.ledger.now_ms + shift_ms if shift_ms else None
        notes = [self._note(who, order_ms) for _ in range(count)]
        for note in notes:
            note.media = b"media of " + note.id.encode() if media else b""
            note.album = fingerprint_of(notes[0].id)[:4] if album else bytes(4)
        self._request(one, twin, notes)

    def say_at_last(self, index: int, one: int, twin: int | None) -> None:
        """A message that was overtaken by its edit or revoke."""
        if self.unsent:
            self._request(one, twin, [self.unsent.pop(index % len(self.unsent))])

    def resend(self, index: int) -> None:
        """The reply was lost: the same request again."""
        if self.requests:
            self._append(self.requests[-1 - index % len(self.requests)])

    def repeat(self, index: int, one: int, twin: int | None) -> None:
        """The gateway delivers again, perhaps under other names; strangers have a memory each."""
        if self.requests:
            notes = self.requests[-1 - index % len(self.requests)].notes
            name, other = self._names(notes[0].who, one, twin)
            self._append(Request(self._nonce(), name, other, notes))

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

    def type(self, who: str, one: int) -> None:
        name, settings = self._names(who, one)[0], self.system.settings
        conv = self.picture.conv(self._place(name))
        expected = 0
        if conv.get("opened_ms") and not conv.get("fired"):
            latest_ms = int(conv["opened_ms"]) + settings.max_wait_ms
            deadline_ms = min(self.ledger.now_ms + settings.typing_ms, latest_ms)
            expected = deadline_ms if deadline_ms > int(conv["deadline_ms"]) else 0
        assert self.system.extend(self.talks[name]) == expected

    # What dispatchers and workers do

    def dispatch(self, limit: int) -> None:
        for due in self.system.dispatch(limit).due:
            name = self.names[Ref.parse(due.ref).hash]
            self.jobs.append(name)
            self.latest_ms[name] = self.ledger.now_ms + self.system.settings.visibility_ms

    def work(self, index: int) -> None:
        if self.jobs:
            self._claim(self.jobs.pop(index % len(self.jobs)), self._caller())

    def claim(self, who: str, one: int) -> None:
        """Also without a job."""
        self._claim(self._names(who, one)[0], self._caller())

    def claim_again(self, index: int) -> None:
        """The reply to a claim was lost; or a zombie repeats an old one."""
        if flight := self._flight(index):
            self._claim(flight.name, flight.caller)

    def ack(self, index: int) -> None:
        if flight := self._flight(index):
            expected = self._let_go(flight, "ok", acked=True)
            assert self.system.fenced("ack", self.talks[flight.name], flight.token) == expected

    def fail(self, index: int, mode: str, delay_ms: int) -> None:
        if flight := self._flight(index):
            failures = int(self._conv(flight.name).get("failures", 0)) + (mode == "retry")
            is_dead = mode == "dead" or failures >= self.system.settings.agent_max_attempts
            expected = self._let_go(flight, "dead" if is_dead else "ok", acked=False)
            found = self.system.fail(self.talks[flight.name], flight.token, mode, delay_ms)
            assert found == expected

    def die(self, index: int) -> None:
        if flight := self._flight(index):
            self.flights.remove(flight)

    # What operators do

    def flush_now(self, who: str, one: int) -> None:
        name = self._names(who, one)[0]
        found = int(self.system.run("flush_now", self.hashes[name]))
        assert found == len(self.picture.entries("buffer", self._place(name)))

    def discard(self, who: str, one: int) -> None:
        name = self._names(who, one)[0]
        gone, in_flight = self._stoppable(name)
        messages, cancelled = self.system.run("discard", self.hashes[name], "operator")
        assert (int(messages), bool(cancelled)) == (len(gone), in_flight)
        self.ledger.end(gone, "discarded")

    def redrive(self, index: int) -> None:
        letters = sorted(self.picture.index("dead"))
        if letters:
            flush_id = letters[index % len(letters)]
            is_asked_for = b"redriven" in self.picture.table("letter", flush_id)
            assert self.system.run("redrive", flush_id).decode() == ("already" if is_asked_for else "ok")

    def pause(self, who: str, one: int, pause_ms: int, takeover: bool) -> None:
        name, mode = self._names(who, one)[0], PauseMode.TAKEOVER if takeover else PauseMode.HOLD
        gone = self._stoppable(name)[0] if takeover else []
        found = int(self.system.run("pause", self.hashes[name], 0, *self.talks[name], pause_ms, mode.value))
        assert found == self.ledger.now_ms + pause_ms
        self.ledger.end(gone, "discarded")

    def resume(self, who: str, one: int) -> None:
        name = self._names(who, one)[0]
        is_paused = "paused_until_ms" in self.picture.conv(self._place(name))
        assert bool(self.system.run("resume", self.hashes[name])) == is_paused

    # What time and machines do

    def pass_time(self, ms: int) -> None:
        self.system.now_ms += ms
        self.ledger.now_ms += ms

    def pass_time_until_due(self) -> None:
        """To the very millisecond at which somebody must look."""
        ahead_ms = min(self.picture.index("wake").values(), default=0) - self.ledger.now_ms
        self.pass_time(max(0, ahead_ms))

    def pass_time_until_forgotten(self, ms: int) -> None:
        self.pass_time(self.system.settings.dedupe_ttl_ms + ms)

    def sweep(self) -> None:
        before_ms = self.ledger.now_ms - self.system.settings.dedupe_ttl_ms
        gone = [hash_ for hash_, at_ms in self.picture.index("idle").items() if at_ms <= before_ms]
        assert int(self.system.run("sweep", self.system.settings.dedupe_ttl_ms, 100)) == len(gone)
        for hash_ in gone:
            if self.picture.resolve(hash_) == hash_:
                self.ledger.forget(self.names[hash_])

    def go_away(self) -> None:
        """Everything is delivered, and nobody says a word until all is forgotten."""
        self.drain()
        self.pass_time_until_forgotten(0)
        self.sweep()

    def repair(self) -> None:
        assert int(self.system.run("repair", *self.names)[0]) == 0, "a wake entry was lost"

    # The end

    def check(self) -> None:
        """Look at every key."""
        self.before, self.picture = self.picture, self.system.look()
        safety.check(self)
        self.is_sealing = False

    def drain(self) -> None:
        """Heal everything and run one worker: what was accepted is delivered, once."""
        self.jobs.clear()
        self.flights.clear()
        for _ in range(200):
            self.check()
            if not self.picture.index("wake"):
                break
            self.pass_time_until_due()
            self.dispatch(10)
            while self.jobs:
                self.check()
                self.work(0)
                while self.flights:
                    self.check()
                    self.ack(0)
                    self.die(0)
        assert self.picture.index("wake") == {}
        assert not self.picture.values["buffer"], "a burst was not delivered"
        assert not self.picture.values["batch"], "a batch was not delivered"

    # How it is done

    def _names(self, who: str, one: int, twin: int | None = None) -> tuple[str, str | None]:
        names = NAMES[who]
        return names[one % len(names)], None if twin is None else names[twin % len(names)]

    def _place(self, name: str) -> str:
        return self.picture.resolve(self.hashes[name])

    def _conv(self, name: str) -> dict[str, str]:
        return self.picture.conv(self.hashes[name])

    def _note(self, who: str, order_ms: int | None) -> Note:
        self.serial += 1
        note_id = f"m{self.serial}"
        payload = json.dumps({"message_id": note_id}).ljust(PAYLOAD_SIZES[self.serial % 3]).encode()
        self.ledger.notes[note_id] = Note(note_id, who, payload, order_ms=order_ms)
        return self.ledger.notes[note_id]

    def _noted(self, index: int) -> Note:
        notes = [note for request in self.requests for note in request.notes]
        return notes[-1 - index % len(notes)]

    def _nonce(self) -> bytes:
        self.serial += 1
        return b"%04d" % (self.serial % 10_000)

    def _caller(self) -> str:
        self.serial += 1
        return f"w{self.serial}"

    def _flight(self, index: int) -> Flight | None:
        """The newest has index 0."""
        return self.flights[-1 - index % len(self.flights)] if self.flights else None

    def _request(self, one: int, twin: int | None, notes: Sequence[Note]) -> None:
        name, other = self._names(notes[0].who, one, twin)
        self.requests = [*self.requests[1 - REMEMBERED_MAX :], Request(self._nonce(), name, other, notes)]
        self._append(self.requests[-1])

    def _append(self, request: Request) -> None:
        is_stale = request.notes[0].order_ms and self._is_stale(request.notes[0].order_ms)
        takeovers = self._takeovers(request)
        known = self.ledger.groups[request.name]
        if request.twin and not is_stale:
            self.ledger.link(request.name, request.twin)
        notes = [note for note in request.notes if self._is_clear(note, request.name)]
        if notes or is_stale:
            found = self.system.append([self._message(note, request) for note in notes])
            for note, appended in zip(notes, found, strict=True):
                self._took(note, request, appended.status, {"stale"} if is_stale else takeovers)
        elif request.twin:
            self._append(request._replace(notes=[self._note(request.notes[0].who, None)]))
        if known is not self.ledger.groups[request.name]:
            self._united(request.name, True in takeovers)

    def _is_stale(self, order_ms: int) -> bool:
        return 0 < self.system.settings.max_age_ms < self.ledger.now_ms - order_ms

    def _is_clear(self, note: Note, name: str) -> bool:
        """Copies among strangers have no media: it lies by fingerprint, once for a person."""
        is_known = bool(self.ledger.remembered(note, name))
        return not self.ledger.is_doubtful(note, name) and (is_known or not note.media or not self.ledger.held[note.id])

    def _message(self, note: Note, request: Request) -> Append:
        return Append(
            self.talks[request.name],
            fingerprint_of(note.id),
            request.nonce,
            note.payload,
            note.order_ms,
            twin=self.talks[request.twin] if request.twin else None,
            media=note.media,
            album=note.album,
        )

    def _took(self, note: Note, request: Request, status: str, expected: set) -> None:
        if expected == {"stale"}:
            self.ledger.counters["stale"] += 1
            assert status == "stale"
            return
        is_known = bool(self.ledger.remembered(note, request.name))
        possible = self.ledger.append(note, request.name, request.nonce, expected)
        assert status in possible, f"{status} for {note.id}, not {possible}"
        if is_known:
            self.ledger.counters["duplicates"] += status == "duplicate"
        else:
            self.ledger.take(note, request.name, request.nonce, status)

    def _takeovers(self, request: Request) -> set[bool]:
        """Whether a human answers: of several pauses the one that ends last counts."""
        names = self.ledger.groups[request.name] | self.ledger.groups[request.twin or request.name]
        convs = [self.picture.conv(self._place(name)) for name in names]
        untils = [int(conv.get("paused_until_ms", 0)) for conv in convs]
        if max(untils) <= self.ledger.now_ms:
            return {False}
        latest = [conv for conv, until_ms in zip(convs, untils, strict=True) if until_ms == max(untils)]
        return {conv["pause_mode"] == PauseMode.TAKEOVER for conv in latest}

    def _united(self, name: str, takeover: bool) -> None:
        """What uniting may throw away: copies, and what a human's takeover of the other name discards."""
        gone = self.ledger.held - self.system.look().held()
        for note_id in gone:
            note = self.ledger.notes[note_id]
            places = [known for known in note.taken if self.ledger.linked(known, name)]
            assert gone[note_id] < len(places) + takeover, f"{note_id} was lost when names were united"
        self.ledger.end(gone.elements(), "discarded")

    def _edit(self, note: Note, one: int, shift_ms: int | None) -> None:
        name = self._names(note.who, one)[0]
        if len(note.taken) > 1 or self.ledger.is_doubtful(note, name):
            return
        self.serial += 1
        now_ms = self.ledger.now_ms
        edited_ms = None if shift_ms is None else now_ms + shift_ms
        fields = json.dumps({"text": f"edit {self.serial}"}).encode()
        expected = self.ledger.edit(
            note, name, Mark(now_ms if edited_ms is None else edited_ms, fields), is_open=self._is_open(note, name)
        )
        assert self.system.edit(self.talks[name], Change(fingerprint_of(note.id), edited_ms, fields)) == expected

    def _revoke(self, note: Note, one: int) -> None:
        name = self._names(note.who, one)[0]
        if len(note.taken) <= 1 and not self.ledger.is_doubtful(note, name):
            expected = self.ledger.revoke(note, name, is_open=self._is_open(note, name))
            assert self.system.revoke(self.talks[name], fingerprint_of(note.id)) == expected

    def _is_open(self, note: Note, name: str) -> bool:
        return note.id in self.picture.ids("buffer", self._place(name))

    def _stoppable(self, name: str) -> tuple[list[str], bool]:
        """What an operator throws away by a name, and whether a batch of the person is in flight."""
        place = self._place(name)
        gone, in_flight = self.picture.ids("buffer", place), False
        for hash_ in self.names:
            if self.picture.resolve(hash_) == place and self.picture.conv(hash_).get("flush_id"):
                is_leased = safety.is_leased(self.picture.conv(hash_), self.ledger.now_ms)
                gone += [] if is_leased else self.picture.ids("batch", hash_)
                in_flight = in_flight or is_leased
        return gone, in_flight

    def _let_go(self, flight: Flight, outcome: str, *, acked: bool) -> str:
        """What must be answered to a worker that lets go of its batch."""
        conv = self._conv(flight.name)
        if conv.get("token") != flight.token:
            return conv["done_outcome"] if conv.get("done_token") == flight.token else "lost"
        ids = self.picture.ids("batch", self.hashes[flight.name])
        if "cancelled" in conv:
            self.ledger.end(ids, "discarded")
            return "cancelled"
        if acked:
            self.ledger.end(ids, "acked")
        return outcome

    def _claim(self, name: str, caller: str) -> None:
        conv, now_ms = self._conv(name), self.ledger.now_ms
        is_free = not safety.is_leased(conv, now_ms) and int(conv.get("retry_at_ms", 0)) <= now_ms
        if "cancelled" in conv and is_free:
            self.ledger.end(self.picture.ids("batch", self.hashes[name]), "discarded")
        batch = self.system.claim(self.talks[name], caller).batch
        self.is_sealing = True
        if batch:
            self._compare(name, batch)
            flight = Flight(name, caller, batch.token)
            if flight not in self.flights:
                self.flights = [*self.flights[1 - REMEMBERED_MAX :], flight]

    def _compare(self, name: str, batch: Batch) -> None:
        notes = [self.ledger.notes[json.loads(stored.payload)["message_id"]] for stored in batch.messages]
        assert {note.who for note in notes} == {self.people[name]} == {self.people[batch.conversation.peer]}
        assert [stored.media or b"" for stored in batch.messages] == [note.media for note in notes]
        body = (batch.messages, batch.reason, batch.closed_ms, batch.name, batch.separator, batch.conversation)
        assert self.bodies.setdefault(batch.flush_id, body) == body, "other bytes under the same id"
