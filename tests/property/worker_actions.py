"""Workers, operators and time around people with several names: each action is checked in the keys."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from buffer.models import Batch, Conversation, FailureMode, PauseMode
from tests.property import invariants_with_aliases
from tests.property.expected_messages import ExpectedMessages
from tests.property.redis_system import System
from tests.property.walk_settings import NAMES, START_MS

REMEMBERED_MAX = 10

ENDS = ("lease_until_ms", "retry_at_ms", "deadline_ms")
"""Fields of a conversation until whose moments a claim may be refused."""


class Flight(NamedTuple):
    """A worker that was given a batch."""

    name: str
    caller: str
    token: str


class WorkerActions:
    """Whoever deals with the bursts of people under all their names, a job queue, and time."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.talks = {name: Conversation("generic", "loja", name) for names in NAMES.values() for name in names}
        self.names = {system.ref(talk).hash: name for name, talk in self.talks.items()}
        self.hashes = {name: hash_ for hash_, name in self.names.items()}
        self.people = {name: who for who, names in NAMES.items() for name in names}
        self.expected = ExpectedMessages(system.settings, self.talks)
        self.jobs: list[str] = []
        self.flights: list[Flight] = []
        self.bodies: dict[str, object] = {}
        self.latest_ms: defaultdict[str, int] = defaultdict(int)
        self.serial = 0
        self.is_sealing = False
        system.clear()
        system.now_ms = self.expected.now_ms = START_MS
        self.before = self.picture = system.look()

    # What dispatchers and workers do

    def dispatch(self, limit: int) -> None:
        for due in self.system.dispatch(limit).due:
            name = self.names[due.ref.hash]
            self.jobs.append(name)
            self.latest_ms[name] = self.expected.now_ms + self.system.settings.visibility_ms

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
            assert self.system.ack(self.talks[flight.name], flight.token) == expected

    def fail(self, index: int, mode: FailureMode, delay_ms: int) -> None:
        if flight := self._flight(index):
            failures = int(self._conv(flight.name).get("failures", 0)) + (mode == "retry")
            is_dead = mode == "dead" or failures >= self.system.settings.agent_max_attempts
            expected = self._let_go(flight, "dead" if is_dead else "ok", acked=False)
            found = self.system.fail(self.talks[flight.name], flight.token, mode, delay_ms)
            assert found == expected

    def serve(self, who: str, one: int, end: FailureMode | None) -> None:
        """The agent gets a burst at once; it refuses it for good, or is still at it."""
        self.flush_now(who, one)
        self.check()
        self._claim(self.names[self._place(self._names(who, one)[0])], self._caller())
        self.check()
        if end:
            self.fail(0, end, 0)

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
        self.expected.end(gone, "discarded")

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
        assert found == self.expected.now_ms + pause_ms
        self.expected.end(gone, "discarded")

    def resume(self, who: str, one: int) -> None:
        name = self._names(who, one)[0]
        is_paused = "paused_until_ms" in self.picture.conv(self._place(name))
        assert bool(self.system.run("resume", self.hashes[name])) == is_paused

    # What time and machines do

    def pass_time(self, ms: int) -> None:
        self.system.now_ms += ms
        self.expected.now_ms += ms

    def pass_time_until_due(self) -> None:
        """To the very millisecond at which somebody must look."""
        ahead_ms = min(self.picture.index("wake").values(), default=0) - self.expected.now_ms
        self.pass_time(max(0, ahead_ms))

    def pass_time_until_forgotten(self, ms: int) -> None:
        self.pass_time(self.system.settings.dedupe_ttl_ms + ms)

    def sweep(self) -> None:
        before_ms = self.expected.now_ms - self.system.settings.dedupe_ttl_ms
        gone = [hash_ for hash_, at_ms in self.picture.index("idle").items() if at_ms <= before_ms]
        assert int(self.system.run("sweep", self.system.settings.dedupe_ttl_ms, 100)) == len(gone)
        for hash_ in gone:
            if self.picture.resolve(hash_) == hash_:
                self.expected.forget(self.names[hash_])

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
        invariants_with_aliases.check(self)
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

    def _names(self, who: str, one: int, alias: int | None = None) -> tuple[str, str | None]:
        names = NAMES[who]
        return names[one % len(names)], None if alias is None else names[alias % len(names)]

    def _place(self, name: str) -> str:
        return self.picture.resolve(self.hashes[name])

    def _conv(self, name: str) -> dict[str, str]:
        return self.picture.conv(self.hashes[name])

    def _caller(self) -> str:
        self.serial += 1
        return f"w{self.serial}"

    def _flight(self, index: int) -> Flight | None:
        """The newest has index 0."""
        return self.flights[-1 - index % len(self.flights)] if self.flights else None

    def _stoppable(self, name: str) -> tuple[list[str], bool]:
        """What an operator throws away by a name, and whether a batch of the person is in flight."""
        place = self._place(name)
        gone, in_flight = self.picture.ids("buffer", place), False
        for hash_ in self.names:
            if self.picture.resolve(hash_) == place and self.picture.conv(hash_).get("flush_id"):
                is_leased = invariants_with_aliases.is_leased(self.picture.conv(hash_), self.expected.now_ms)
                gone += [] if is_leased else self.picture.ids("batch", hash_)
                in_flight = in_flight or is_leased
        return gone, in_flight

    def _let_go(self, flight: Flight, outcome: str, *, acked: bool) -> str:
        """What must be answered to a worker that lets go of its batch."""
        conv = self._conv(flight.name)
        if conv.get("token") != flight.token:
            return conv["done_outcome"] if conv.get("done_token") == flight.token else "lost"
        ids = self.picture.ids("batch", self.hashes[flight.name])
        if acked or outcome == "dead" or invariants_with_aliases.is_stopped(conv):
            self._expect_awake(flight.name)
        if "superseded" in conv and "cancelled" not in conv:
            return "superseded"
        if "cancelled" in conv:
            self.expected.end(ids, "discarded")
            return "cancelled"
        if acked:
            self.expected.end(ids, "acked")
        return outcome

    def _claim(self, name: str, caller: str) -> None:
        conv, now_ms = self._conv(name), self.expected.now_ms
        is_free = not invariants_with_aliases.is_leased(conv, now_ms) and int(conv.get("retry_at_ms", 0)) <= now_ms
        if "cancelled" in conv and is_free:
            self.expected.end(self.picture.ids("batch", self.hashes[name]), "discarded")
        claim = self.system.claim(self.talks[name], caller)
        batch, self.is_sealing = claim.batch, True
        if claim.until_ms:
            self._check_wait(name, claim.until_ms)
        if batch:
            self._check_lease(name, batch)
            self._check_turn(name, batch)
            self._compare(name, batch)
            flight = Flight(name, caller, batch.token)
            if flight not in self.flights:
                self.flights = [*self.flights[1 - REMEMBERED_MAX :], flight]

    def _check_lease(self, name: str, batch: Batch) -> None:
        """A lease is given when nobody has one and the person, under whatever name, is not paused."""
        conv, leader = self._conv(name), self.picture.conv(self._place(name))
        if invariants_with_aliases.is_leased(conv, self.expected.now_ms):
            assert batch.token == conv["token"], "two leases"
        else:
            assert int(leader.get("paused_until_ms", 0)) <= self.expected.now_ms, "a batch went out in a pause"

    def _expect_awake(self, name: str) -> None:
        """The end of a batch wakes what waited for it under the other names of the person."""
        for hash_ in self.names:
            if self.picture.resolve(hash_) == self._place(name):
                self.latest_ms[self.names[hash_]] = self.expected.now_ms

    def _check_wait(self, name: str, until_ms: int) -> None:
        """Whoever waits for another batch of the person does not wait longer than for that batch."""
        ends = [self.expected.now_ms + self.system.settings.lease_ms]
        ends += [int(conv.get(field, 0)) for conv in self._of_person(name) for field in ENDS]
        ends.append(int(self.picture.conv(self._place(name)).get("paused_until_ms", 0)))
        assert until_ms <= max(ends), f"{name} waits too long"
        self.latest_ms[name] = max(self.latest_ms[name], until_ms)

    def _check_turn(self, name: str, batch: Batch) -> None:
        """A person's batches go out one at a time, the oldest first, whatever names they are under."""
        conv, now_ms = self._conv(name), self.expected.now_ms
        if batch.token == conv.get("token"):
            return
        age = (batch.closed_ms, self.hashes[name])
        for other in self._others_with_batch(name):
            other_conv = self.picture.conv(other)
            assert not invariants_with_aliases.is_leased(other_conv, now_ms), "two calls for one person"
            assert batch.flush_id == conv.get("flush_id"), "later messages overtook a batch of their person"
            assert age < (int(other_conv["closed_ms"]), other), "a batch overtook an older one of its person"

    def _others_with_batch(self, name: str) -> list[str]:
        """Return the hashes of the other names of a person that hold a batch."""
        place, own = self._place(name), self.hashes[name]
        names = [hash_ for hash_ in self.names if hash_ != own and self.picture.resolve(hash_) == place]
        return [hash_ for hash_ in names if "flush_id" in self.picture.conv(hash_)]

    def _of_person(self, name: str) -> list[dict[str, str]]:
        return [self._conv(name), *(self.picture.conv(hash_) for hash_ in self._others_with_batch(name))]

    def _compare(self, name: str, batch: Batch) -> None:
        notes = [self.expected.notes[stored.fields["message_id"]] for stored in batch.messages]
        assert {note.who for note in notes} == {self.people[name]} == {self.people[batch.conversation.peer]}
        assert [stored.media or b"" for stored in batch.messages] == [note.media for note in notes]
        body = (repr(batch.messages), batch.reason, batch.closed_ms, batch.name, batch.separator, batch.conversation)
        assert self.bodies.setdefault(batch.flush_id, body) == body, "other bytes under the same id"
