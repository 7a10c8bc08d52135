"""What happens to the parts of answers: workers send them, gateways echo them, people of ours write in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from buffer.models import Claim, FailureMode
from buffer.prints import print_of
from buffer.reply_models import Ending, OwnMessage, PartEnd, SendLimits, Status
from tests.property.compared_system import REMEMBERED_MAX
from tests.property.part_journal import PartJournal, part_of, root_of
from tests.property.redis_system import System
from tests.property.reply_model import ECHO_MAX_MS, FAILED, ReplyModel
from tests.property.senders import LIMITS, TEXTS, Sender, SentPart
from tests.property.walk_settings import PEOPLE
from tests.property.world_scenes import WorldScenes


class ReplyActions(WorldScenes):
    """The actions of a world whose workers answer people."""

    make_model = ReplyModel
    model: ReplyModel

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self.journal = PartJournal()
        self.senders: dict[str, Sender] = {}
        self.texts: dict[tuple[str, int], str] = {}
        self.sent: list[SentPart] = []
        self.resends = system.settings.reply_in_doubt == "resend"

    # What workers do

    def reply(self, index: int, texts: tuple[int, ...], delay_ms: int, again: bool) -> None:
        """The agent has answered: the answer is stored, perhaps with a repeated call."""
        sender = self._sender(index)
        if not sender or sender.is_answered or sender.is_over:
            return
        prints = tuple(print_of(TEXTS[text]) for text in texts)
        answer = b"answer %d" % self.serial
        for _ in range(1 + again):
            outcome = self._store(sender, answer, prints, delay_ms)
        if outcome in ("ok", "later"):
            self.texts |= {(sender.flush_id, n): TEXTS[text] for n, text in enumerate(texts, 1)}
            self.journal.store(sender.who, sender.flush_id, len(texts))
            sender.is_answered, sender.next, sender.last, sender.prints = True, 1, len(texts), prints
        self._settle_sender(sender, outcome)

    def reply_late(self, index: int) -> None:
        """An earlier try to store an answer arrives after the worker has gone on."""
        sender = self._sender(index)
        if sender and sender.is_answered and sender.prints:
            self._store(sender, b"late", sender.prints, 0)

    def begin(self, index: int, own: bool, limits: str, again: bool) -> None:
        """A worker asks whether the next part may leave, perhaps twice, because a reply was lost."""
        sender = self._sender(index)
        if not sender or not sender.may_begin:
            return
        self.serial += 1
        own_id = f"own-{root_of(sender.flush_id)}-{sender.next}" if own else None
        for _ in range(1 + again):
            found = self._begin(sender, own_id, LIMITS[limits])
        if found == "send":
            sender.is_marked, sender.has_left, sender.own_id = True, False, own_id
            sender.message_id = f"id{self.serial}"
            self.journal.begin(sender.who, sender.flush_id, sender.next)
        self._settle_sender(sender, found)

    def begin_late(self, index: int) -> None:
        """An earlier try to begin a part arrives after the worker has gone on to the next one."""
        sender = self._sender(index)
        if sender and sender.is_answered and sender.next > 1:
            self._begin(replace(sender, next=sender.next - 1), None, LIMITS["none"])

    def leave(self, index: int) -> None:
        """The request of a marked part reaches the gateway; perhaps the worker was away for long before it left."""
        sender = self._sender(index)
        if sender and sender.is_marked and not sender.has_left:
            sender.has_left = True
            self.journal.leave(sender.flush_id, sender.next, resend=self.resends)
            part = root_of(sender.flush_id), sender.next
            text = self.texts[part]
            ids = str(sender.message_id), sender.own_id
            self.sent = [
                *self.sent[1 - REMEMBERED_MAX :],
                SentPart(sender.who, part, text, *ids, self.model.now_ms),
            ]

    def end(self, index: int, how: PartEnd, times: tuple[int, int], again: bool, has_id: bool) -> None:
        """A worker reports what it knows of the request: the gateway's answer, or that none came."""
        sender = self._sender(index)
        if not sender or not sender.is_marked or sender.is_over:
            return
        if sender.has_left:
            how = "in_doubt" if how == "in_doubt" else "sent"
        elif how == "sent":
            how = "later"
        message_id = sender.message_id if how == "sent" and has_id else None
        ending = Ending(how, sender.flush_id, message_id, *times, "refused")
        if how == "sent":
            self.journal.known.add((root_of(sender.flush_id), sender.next))
        self._end(sender, ending, again=again)

    def ack(self, index: int, pause_ms: int = 0) -> None:
        """A worker acks when nothing is left to send."""
        sender = self._sender(index)
        if sender and sender.is_done:
            found = self.system.ack(PEOPLE[sender.who], sender.token, pause_ms)
            assert found == self.model.ack(sender.who, sender.token, pause_ms)
            sender.is_over = True
            self._touch(sender.who)

    def fail(self, index: int, mode: FailureMode, delay_ms: int) -> None:
        super().fail(index, mode, delay_ms)
        if sender := self._sender(index):
            sender.is_over = True

    def finish(self) -> None:
        """The newest worker answers, sends all parts and acks; the gateway works."""
        self.reply(0, (1, 2), 0, again=False)
        while (sender := self._sender(0)) and sender.is_answered and not sender.is_done:
            before = (sender.next, sender.is_marked)
            self.begin(0, own=False, limits="none", again=False)
            self.leave(0)
            self.end(0, "sent", (0, 0), again=False, has_id=True)
            if (sender.next, sender.is_marked) == before or sender.is_over:
                break
        self.ack(0)

    # What gateways do

    def echo(self, index: int, by_own_id: bool, by_text: bool) -> None:
        """A part comes back as a webhook, before or after the gateway's answer, or without one; perhaps twice."""
        if not self.sent:
            return
        sent = self.sent[-1 - index % len(self.sent)]
        own_id = sent.own_id if by_own_id else None
        text = print_of(sent.text) if by_text else b""
        message = OwnMessage(PEOPLE[sent.who], sent.message_id, own_id, text)
        found = self._own_message(sent.who, message)
        assert found == "ours" or not (own_id or (by_text and sent.text)) or self._is_forgotten(sent)
        if found == "ours":
            self._note_ours(sent, is_certain=bool(own_id))

    def report(self, index: int, state: Literal["sent", "failed"], by_own_id: bool) -> None:
        """A gateway says later what became of a part."""
        if not self.sent:
            return
        sent = self.sent[-1 - index % len(self.sent)]
        own_id = sent.own_id if by_own_id else None
        status = Status(state, sent.message_id, own_id, "gone")
        found = self.system.part_status(PEOPLE[sent.who], status)
        assert found == self.model.status(state, sent.message_id, own_id)
        if found and state == "sent":
            self.journal.known.add(part_of(found))  # an echo by its text may have given the id to another part
        elif found:
            self.journal.order(found)

    # What people of ours do

    def write(self, who: str, text: int, pause_ms: int) -> None:
        """A human of ours writes to a person from a device."""
        self.serial += 1
        message = OwnMessage(PEOPLE[who], f"id{self.serial}", None, print_of(TEXTS[text]), "", 0, pause_ms)
        if self._own_message(who, message) == "ours":
            self.journal.maybe |= {part for part, said in self.texts.items() if said == TEXTS[text]}

    def command(self, who: str, action: str, pause_ms: int) -> None:
        """A human of ours gives a conversation back to the bot, or takes it."""
        self.serial += 1
        words: Any = (f"id{self.serial}", None, print_of("#bot"), action, pause_ms, 0)
        self._own_message(who, OwnMessage(PEOPLE[who], *words))

    def settle(self, index: int, action: str) -> None:
        """An operator decides about a part in doubt."""
        if doubts := sorted(self.model.doubts):
            self._settle(doubts[index % len(doubts)], action)

    def _settle(self, doubt_id: str, action: str) -> None:
        who = self.model.doubts[doubt_id].who
        assert self.system.settle_doubt(doubt_id, action) == self.model.settle(doubt_id, action)
        assert self.system.settle_doubt(doubt_id, action) == "unknown"
        if action == "send":
            self.journal.order(doubt_id)
        self._touch(who)

    def pause(self, who: str, pause_ms: int, takeover: bool) -> None:
        if takeover:
            self._take_over(who)
        super().pause(who, pause_ms, takeover)

    # The end

    def check(self) -> None:
        super().check()
        check_parts(self)
        self.journal.check(self.picture, resend=self.resends)

    # How it is done

    def _sender(self, index: int) -> Sender | None:
        flight = self._flight(index)
        return self.senders.get(flight.token) if flight else None

    def _compare_claim(self, who: str, caller: str, claim: Claim) -> None:
        super()._compare_claim(who, caller, claim)
        batch = claim.batch
        if batch and batch.token not in self.senders:
            is_answered = batch.answer is not None
            numbers = (batch.next_part or 1, batch.last_part)
            self.senders[batch.token] = Sender(who, batch.token, batch.flush_id, *numbers, (), is_answered)
        if batch and self.model.talks[who].batch:
            sealed: Any = self.model.talks[who].batch
            numbers = (sealed.parts.next, sealed.parts.last) if sealed.parts else (0, 0)
            assert (batch.next_part, batch.last_part) == numbers

    def _store(self, sender: Sender, answer: bytes, prints: tuple[bytes, ...], delay_ms: int) -> str:
        memory = b"memory of %b" % answer
        found = b"".join(prints), delay_ms, memory
        outcome = self.system.answered(PEOPLE[sender.who], sender.token, answer, *found)
        assert outcome == self.model.store(sender.who, sender.token, answer, prints, delay_ms, memory)
        self._touch(sender.who)
        return outcome

    def _begin(self, sender: Sender, own_id: str | None, limits: SendLimits) -> str:
        found = self.system.begin_part(PEOPLE[sender.who], sender.token, sender.next, own_id, limits)
        expected = self.model.begin(sender.who, sender.token, sender.next, own_id, limits)
        assert found == expected, f"{found} and not {expected}"
        self._touch(sender.who)
        return found[0]

    def _end(self, sender: Sender, ending: Ending, *, again: bool) -> None:
        for _ in range(1 + again):
            outcome = self.system.end_part(PEOPLE[sender.who], sender.token, sender.next, ending)
            assert outcome == self.model.end_part(sender.who, sender.token, sender.next, ending)
        sender.is_marked, sender.next = False, sender.next + 1
        self._settle_sender(sender, outcome)

    def _settle_sender(self, sender: Sender, outcome: str) -> None:
        """A worker that lost its lease, or gave it back, forgets the batch. One that was stopped releases it."""
        if outcome in ("ok", "send"):
            return
        if outcome in ("cancelled", "superseded") and not sender.is_marked:
            found = self.system.fail(PEOPLE[sender.who], sender.token, "release", 0)
            assert found == self.model.end(sender.who, sender.token, "release")
        self.flights = [flight for flight in self.flights if flight.token != sender.token]
        self._touch(sender.who)

    def _own_message(self, who: str, message: OwnMessage) -> str:
        name = self.system.ref(PEOPLE[who]).hash
        before = self.system.look()
        found = self.system.own_message(message)
        assert found == self.model.own_message(who, message)
        if found in ("human", "taken"):
            self.journal.take_over(who, before, name)
        self._touch(who)
        return found

    def _take_over(self, who: str) -> None:
        self.journal.take_over(who, self.system.look(), self.system.ref(PEOPLE[who]).hash)

    def _note_ours(self, sent: SentPart, *, is_certain: bool) -> None:
        known_as = self.model.sent_ids.get(sent.message_id)
        if is_certain or (known_as and known_as[1] != FAILED and part_of(known_as[1]) == sent.part):
            self.journal.known.add(sent.part)
        if not is_certain:
            self.journal.maybe |= {part for part, text in self.texts.items() if text == sent.text}

    def _is_forgotten(self, sent: SentPart) -> bool:
        """Was the part settled by an operator, an hour ago, or by another echo with the same text?"""
        is_old = self.model.now_ms - sent.left_ms > ECHO_MAX_MS
        return is_old or sent.part in self.journal.known | self.journal.maybe or self.journal.allowed[sent.part] > 1


def check_parts(world: ReplyActions) -> None:
    """What lies in Redis of the parts is what the model says."""
    picture, model = world.picture, world.model
    assert {name: doubt.since_ms for name, doubt in model.doubts.items()} == picture.index("doubt")
    assert set(picture.values["doubted"]) == set(model.doubts)
    for who, conversation in PEOPLE.items():
        batch: Any = model.talks[who].batch
        fields = picture.table("conv", world.system.ref(conversation).hash)
        parts = batch.parts if batch else None
        assert (b"next_part" in fields, b"sending_ms" in fields) == (bool(parts), bool(parts and parts.sending))
        if parts:
            assert int(fields[b"next_part"]) == parts.next
            assert fields.get(b"prints") == b"".join(parts.prints)
        doubts = {doubt_id for doubt_id, doubt in model.doubts.items() if doubt.who == who and doubt.is_noted}
        if model.talks[who].known:
            assert set(fields.get(b"doubts", b"").decode().split()) == doubts
