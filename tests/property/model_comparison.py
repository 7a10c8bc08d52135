"""What can happen, done to the system and its model: both must answer and look the same."""

from __future__ import annotations

import copy

from buffer import person_calls, script_calls
from buffer.keys import Ref
from buffer.models import FailureMode, PauseMode
from buffer.presence import PresenceKind
from tests.property.compared_system import REMEMBERED_MAX, ComparedSystem, Request, ids_of
from tests.property.invariants import check
from tests.property.spoiled_keys import spoil
from tests.property.walk_settings import PEOPLE, SICK


class ModelComparison(ComparedSystem):
    """The actions of people, dispatchers, workers, operators, time and machines."""

    # What people and gateways do

    def say(self, who: str, count: int, shift_ms: int = 0, keyword: bool = False) -> None:
        self._request([(who, self._message(PEOPLE[who], shift_ms, keyword)) for _ in range(count)])

    def say_all(self, shift_ms: int) -> None:
        self._request([(who, self._message(PEOPLE[who], shift_ms, False)) for who in [*PEOPLE, *PEOPLE]])

    def say_beside_sick(self, who: str, damage: str, place: int) -> None:
        """A neighbour in the same call has a damaged key, and the call is sent again: only the neighbour is refused."""
        self.system.append([self._message(SICK, 0, False)])
        self.model.counters.update(messages_accepted=1, turns=int(self.system.settings.message_buffer_enabled))
        self.model.lost += 1
        self.system.damage(SICK, damage)
        self.requests = [
            *self.requests[1 - REMEMBERED_MAX :],
            Request(
                self._nonce(),
                [(who, self._message(PEOPLE[who], 0, False)) for _ in range(2)],
                self.system.settings,
            ),
        ]
        for _ in range(2):
            self._append(self.requests[-1], place)
        self.system.remove(SICK)

    def resend(self, index: int) -> None:
        """The reply was lost: the same request again."""
        if self.requests:
            self._append(self.requests[-1 - index % len(self.requests)])

    def repeat(self, index: int) -> None:
        """The gateway delivers again: the same messages in another request."""
        if self.requests:
            self._append(self.requests[-1 - index % len(self.requests)]._replace(nonce=self._nonce()))

    def type(self, who: str, kind: PresenceKind) -> None:
        assert self.system.presence(PEOPLE[who], kind) == self.model.presence(who, kind)
        self._touch(who)

    # What dispatchers and workers do

    def dispatch(self, limit: int) -> None:
        now_ms = self.model.now_ms
        soonest = sorted((at_ms, name) for name, at_ms in self.picture.index("wake").items() if at_ms <= now_ms)
        dispatched = self.system.dispatch(limit)
        handed_out = [due.ref.hash for due in dispatched.due]
        assert handed_out == [name for _, name in soonest[:limit]]
        for name in handed_out:
            self.jobs.append(self.names[name])
            self._touch(self.names[name], self.system.settings.visibility_ms)

    def lose_job(self, index: int) -> None:
        if self.jobs:
            self.jobs.pop(index % len(self.jobs))

    def duplicate_job(self, index: int) -> None:
        if self.jobs:
            self.jobs.append(self.jobs[index % len(self.jobs)])

    def work(self, index: int) -> None:
        if self.jobs:
            self.claim(self.jobs.pop(index % len(self.jobs)))

    def claim(self, who: str) -> None:
        """Also without a job: hints may be early, late, doubled or false."""
        self.serial += 1
        self._claim(who, f"w{self.serial}")

    def claim_again(self, index: int) -> None:
        """The reply to a claim was lost; or a zombie repeats an old one."""
        if flight := self._flight(index):
            self._claim(flight.who, flight.caller)

    def renew(self, index: int) -> None:
        if flight := self._flight(index):
            lease_ms = self.system.settings.lease_ms
            until_ms = self.model.now_ms + lease_ms
            found = self.system.renew(PEOPLE[flight.who], flight.token)
            assert found == self.model.hold(flight.who, flight.token, lease_until_ms=until_ms)
            self._touch(flight.who)

    def answer(self, index: int) -> None:
        if flight := self._flight(index):
            text = b'{"reply":"%d"}' % self.serial
            memory = b"memory %d" % self.serial if self.serial % 3 else b""
            found = self.system.answered(PEOPLE[flight.who], flight.token, text, memory=memory)
            assert found == self.model.answered(flight.who, flight.token, text, memory)

    def ack(self, index: int) -> None:
        if flight := self._flight(index):
            found = self.system.ack(PEOPLE[flight.who], flight.token)
            assert found == self.model.end(flight.who, flight.token, "ack")
            self._touch(flight.who)

    def fail(self, index: int, mode: FailureMode, delay_ms: int) -> None:
        if flight := self._flight(index):
            found = self.system.fail(PEOPLE[flight.who], flight.token, mode, delay_ms)
            assert found == self.model.end(flight.who, flight.token, mode, delay_ms)
            self._touch(flight.who)

    def die(self, index: int) -> None:
        if flight := self._flight(index):
            self.flights.remove(flight)

    def finish(self) -> None:
        """The newest worker does all that is left for it to do."""
        self.ack(0)

    # What operators do

    def flush_now(self, who: str) -> None:
        found = int(self.system.run("flush_now", self.system.ref(PEOPLE[who]).hash))
        assert found == self.model.flush_now(who)
        self._touch(who)

    def discard(self, who: str) -> None:
        messages, cancelled = self.system.run("discard", self.system.ref(PEOPLE[who]).hash, "operator")
        assert (int(messages), bool(cancelled)) == self.model.discard(who)
        self._touch(who)

    def erase(self, who: str) -> None:
        """A person wants everything of theirs deleted. Their worker in flight may be anywhere in its work."""
        gateway, channel, _ = PEOPLE[who]
        name = self.system.ref(PEOPLE[who]).hash
        args = person_calls.erase_args([name], self.model.letters_of(who), gateway, channel)
        found = person_calls.read_erase(self.system.run("erase", *args))
        assert (found.messages, found.dead_letters) == self.model.erase(who)
        assert [kind for kind, held in self.system.look().values.items() if name in held] == []
        self._touch(who)

    def redrive(self, index: int) -> None:
        letters = [*sorted(self.model.letters), *sorted(self.bodies)]
        if letters:
            self._redrive(letters[index % len(letters)])

    def _redrive(self, flush_id: str) -> None:
        assert self.system.run("redrive", flush_id).decode() == self.model.redrive(flush_id)
        self._touch(self.names[Ref.parse(flush_id).hash[:16]])

    def pause(self, who: str, pause_ms: int, takeover: bool) -> None:
        ref, mode = self.system.ref(PEOPLE[who]), PauseMode.TAKEOVER if takeover else PauseMode.HOLD
        found = self.system.run("pause", ref.hash, 0, *PEOPLE[who], pause_ms, mode.value)
        assert int(found) == self.model.pause(who, pause_ms, takeover)
        self._touch(who)

    def resume(self, who: str) -> None:
        found = self.system.run("resume", self.system.ref(PEOPLE[who]).hash)
        assert bool(found) == self.model.resume(who)
        self._touch(who)

    # What time and machines do

    def pass_time(self, ms: int) -> None:
        self.system.now_ms += ms
        self.model.now_ms += ms

    def pass_time_until_due(self, who: str) -> None:
        """To the very millisecond at which somebody must look."""
        ahead_ms = self.model.need_ms(who) - self.model.now_ms
        if 0 < ahead_ms < float("inf"):
            self.pass_time(int(ahead_ms))

    def leap(self, ms: int) -> None:
        """The server's clock is set, forward or a little back: a lease may live again, its wake entry stays."""
        for name, wake_ms in self.picture.index("wake").items():
            self.latest_ms[self.names[name]] = max(self.latest_ms[self.names[name]], wake_ms)
        self.pass_time(ms)

    def forget_scripts(self) -> None:
        self.system.client.script_flush()

    def hold(self) -> None:
        """A dispatcher saw the server's clock jump."""
        found = int(self.system.run("hold_takeovers", *script_calls.hold_takeovers_args(self.system.settings)))
        self.model.hold_until_ms = self.model.now_ms + self.system.settings.lease_ms
        assert found == self.model.hold_until_ms
        for who in PEOPLE:
            self.latest_ms[who] = max(self.latest_ms[who], found)

    def sicken(self, who: str, how: str) -> None:
        """Somebody spoils keys of a conversation; then all are claimed in one call."""
        if spoil(self.system, self.model, PEOPLE[who], who, how):
            self.bodies = {flush_id: body for flush_id, body in self.bodies.items() if not self._lost(who, flush_id)}
            self.serial += 1
            caller = f"w{self.serial}"
            for each, claim in zip(PEOPLE, self.system.claim_lot(dict.fromkeys(PEOPLE.values(), caller)), strict=True):
                self._compare_claim(each, caller, claim)

    def _lost(self, who: str, flush_id: str) -> bool:
        batch = self.model.talks[who].batch
        return batch is not None and batch.flush_id == flush_id and not batch.messages

    def sweep(self) -> None:
        assert int(self.system.run("sweep", self.system.settings.dedupe_ttl_ms, 100)) == self.model.sweep()

    def repair(self, lose: bool) -> None:
        if lose:
            self.system.client.delete(self.system.keys.of(0, "wake"))
        present = set() if lose else set(self.picture.index("wake"))
        missing = [who for name, who in self.names.items() if self.model.is_held(who) and name not in present]
        assert int(self.system.run("repair", *self.names)[0]) == len(missing)
        self.model.repair()
        for who in PEOPLE:
            self._touch(who)

    def lose_wake_until_duplicate(self, who: str) -> None:
        """A lost wake entry, and a gateway that delivers a remembered message again."""
        talk = self.model.talks[who]
        held = {said.id for said in [*talk.buffer, *(talk.batch.messages if talk.batch else [])]}
        for request in self.requests:
            if any(to == who and said in held for to, said in ids_of(request)):
                self.system.client.zrem(self.system.keys.of(0, "wake"), self.system.ref(PEOPLE[who]).hash)
                return self._append(request._replace(nonce=self._nonce()))

    def save(self) -> None:
        self.saved = (self.system.save(), copy.deepcopy(self.model))

    def fail_over(self) -> None:
        """A replica takes over that did not get what happened since `save`; clocks and workers go on."""
        if self.saved:
            saved, model = self.saved
            self.system.roll_back(saved)
            now_ms, self.model = self.model.now_ms, copy.deepcopy(model)
            self.model.now_ms = now_ms

    # The end

    def check(self) -> None:
        """Look at every key."""
        check(self)

    def drain(self) -> None:
        """Heal everything and run one worker: whatever was accepted is delivered."""
        self.jobs.clear()
        self.flights.clear()
        for _ in range(200):
            next_ms = self.system.dispatch(0).next_ms
            if next_ms is None:
                break
            self.pass_time(max(0, next_ms - self.model.now_ms))
            self.picture = self.system.look()
            self.dispatch(10)
            while self.jobs:
                self.work(0)
                while self.flights:
                    self.finish()
                    self.die(0)
            check(self)
        assert not any(talk.buffer or talk.batch or talk.redrive for talk in self.model.talks.values())
        assert self.picture.index("wake") == {}
