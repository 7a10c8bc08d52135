"""The model of what happens to the parts of answers, written from docs/invariants.md#12 to #16."""

from __future__ import annotations

from typing import Any, NamedTuple

from buffer.prints import NO_PRINT
from buffer.reply_models import Ending, OwnMessage, SendLimits
from config.settings import Settings
from tests.property.model_state import Parts, Sealed, Talk
from tests.property.reference_model import Model

ECHO_MAX_MS = 3_600_000
FAILED = "failed"


class ModelDoubt(NamedTuple):
    """A part in doubt: whose it is, since when, and its answer. A conversation that was swept has no note of it."""

    who: str
    since_ms: int
    number: int
    answer: bytes
    prints: tuple[bytes, ...]
    name: str | None
    is_noted: bool = True

    @property
    def text_print(self) -> bytes:
        return self.prints[self.number - 1]


class ReplyModel(Model):
    """Conversations with their answers, the parts in doubt, and the limits of the one channel."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.doubts: dict[str, ModelDoubt] = {}
        self.sent_ids: dict[str, tuple[str, str]] = {}
        self.sent_texts: dict[tuple[str, bytes], str] = {}
        self.held_until_ms: int | None = None
        self.rate_ms = 0

    # What workers do

    def store(  # noqa: PLR0917 - an answer is all of these
        self, who: str, token: str, answer: bytes, prints: tuple[bytes, ...], delay_ms: int, memory: bytes
    ) -> str:
        talk = self.talks[who]
        if talk.batch and talk.batch.token == token and talk.batch.parts and not talk.batch.is_superseded:
            self._count_answer(talk, token, answer)
            return "cancelled" if talk.batch.cancelled else "ok"
        outcome = self.answered(who, token, answer, b"" if prints else memory)
        if outcome == "ok" and prints and talk.batch and talk.batch.token == token:
            talk.batch.parts, talk.batch.new_memory = Parts(prints, last=len(prints)), memory
            return self._give_back(talk, self.now_ms + delay_ms, "later") if delay_ms else "ok"
        return outcome

    def begin(self, who: str, token: str, number: int, own_id: str | None, limits: SendLimits) -> tuple[str, int]:
        talk = self.talks[who]
        batch = talk.batch
        if not batch or batch.token != token:
            return self._refused(talk, token)
        if self.is_stopped(talk, token):
            return self._stop(talk, token), 0
        parts = batch.parts
        is_next = parts and parts.next == number and (parts.sending or self._leased(talk))
        if batch.cancelled or not is_next:
            return "cancelled" if batch.cancelled else "lost", 0
        if not parts.sending and (waits := self._waits(talk, parts, limits)):
            return waits
        if own_id and not parts.sending:
            self.sent_ids[own_id] = (who, part_id(batch))
        talk.memory, batch.new_memory = batch.new_memory or talk.memory, b""
        parts.sending = parts.begun = True
        return "send", 0

    def end_part(self, who: str, token: str, number: int, ending: Ending) -> str:
        talk = self.talks[who]
        batch = talk.batch
        if not batch or batch.token != token:
            doubt_id = f"{ending.flush_id}.{number}"
            if ending.end == "sent" and self._resolve(doubt_id) and ending.message_id:
                self.sent_ids[ending.message_id] = (who, doubt_id)
            return self._refused(talk, token)[0]
        parts = batch.parts
        if not parts or not parts.sending or parts.next != number:
            after = "ok" if parts and parts.next == number + 1 else "lost"
            return "cancelled" if batch.cancelled else after
        if parts.seen or ending.end in ("sent", "in_doubt"):
            return self._left(talk, who, ending)
        return self._put_back(talk, who, ending)

    def ack(self, who: str, token: str, pause_ms: int) -> str:
        batch = self.talks[who].batch
        is_current = bool(batch and batch.token == token)
        outcome = self.end(who, token, "ack")
        if is_current and outcome == "ok" and pause_ms:
            self.pause(who, pause_ms, takeover=True)
        return outcome

    # What gateways and people of ours do

    def own_message(self, who: str, message: OwnMessage) -> str:
        if self._is_ours(who, message):
            return "ours"
        if message.action == "resume":
            self.resume(who)
            return "resumed"
        pause_ms = message.pause_ms if message.action == "take" else message.human_pause_ms
        if not pause_ms:
            return "foreign"
        self.counters["takeovers"] += 1
        self.pause(who, pause_ms, takeover=True)
        return "taken" if message.action == "take" else "human"

    def status(self, state: str, message_id: str | None, own_id: str | None) -> str:
        holder, part = self._find(message_id, own_id)
        if not holder or part == FAILED:
            return ""
        if state == "sent":
            self._evidence(holder, part)
            return part
        for known in (message_id, own_id):
            if known:
                self.sent_ids[known] = (holder, FAILED)
        if doubt := self.doubts.pop(part, None):
            self._bury_doubt(part, doubt)
            self.counters["parts_refused"] += 1
            self.counters["dead_letters"] += 1
        else:
            self.counters["failed_after_sent"] += 1
        return part

    def settle(self, doubt_id: str, action: str) -> str:
        doubt = self.doubts.pop(doubt_id, None)
        if not doubt:
            return "unknown"
        self.sent_texts[doubt.who, doubt.text_print] = doubt_id
        if action == "send":
            self._bury_doubt(doubt_id, doubt)
            return self.redrive(doubt_id, is_counted=False)
        self.counters["doubts_dropped"] += 1
        return "ok"

    def sweep(self) -> int:
        before = set(self.talks)
        gone = super().sweep()
        for doubt_id, doubt in self.doubts.items():
            if doubt.who in before - set(self.talks):
                self.doubts[doubt_id] = doubt._replace(is_noted=False)
        return gone

    # How it is done

    def _refused(self, talk: Talk, token: str) -> tuple[str, int]:
        if not self._ended(talk, token):
            return "lost", 0
        at_ms = talk.batch.retry_at_ms if talk.batch else 0
        return talk.done[1], talk.paused_until_ms if self._paused(talk) else at_ms

    def _waits(self, talk: Talk, parts: Parts, limits: SendLimits) -> tuple[str, int] | None:
        """Why a part must wait, and until when."""
        if self._paused(talk):
            self._give_back(talk, 0, "wait")
            return "wait", talk.paused_until_ms
        if self.held_until_ms is not None:
            if self.held_until_ms > self.now_ms:
                return self._give_back(talk, self.held_until_ms, "held"), self.held_until_ms
            self.held_until_ms = self.now_ms + limits.probe_ms
        if parts.slot_ms is None:
            parts.slot_ms = self._reserve(talk, limits)
        if parts.slot_ms > self.now_ms:
            return self._give_back(talk, parts.slot_ms, "wait"), parts.slot_ms
        return None

    def _reserve(self, talk: Talk, limits: SendLimits) -> int:
        channel_ms = person_ms = self.now_ms
        if limits.channel_interval_ms:
            channel_ms, self.rate_ms = self._slot(self.rate_ms, limits.channel_interval_ms, limits.channel_burst)
        if limits.person_interval_ms:
            person_ms, talk.rate_ms = self._slot(talk.rate_ms, limits.person_interval_ms, limits.person_burst)
        return max(channel_ms, person_ms)

    def _slot(self, used_until_ms: int, interval_ms: int, burst: int) -> tuple[int, int]:
        used_until_ms = max(used_until_ms, self.now_ms)
        return max(self.now_ms, used_until_ms - (burst - 1) * interval_ms), used_until_ms + interval_ms

    def _give_back(self, talk: Talk, at_ms: int, outcome: str) -> str:
        batch: Any = talk.batch
        talk.done = (batch.token, outcome)
        batch.token, batch.retry_at_ms = None, at_ms
        return outcome

    def _left(self, talk: Talk, who: str, ending: Ending) -> str:
        batch: Any = talk.batch
        parts = batch.parts
        if ending.end == "sent" or parts.seen:
            if ending.message_id:
                self.sent_ids[ending.message_id] = (who, part_id(batch))
            elif not parts.seen:
                self.sent_texts[who, parts.prints[parts.next - 1]] = part_id(batch)
            self.counters["parts_sent"] += 1
            self.held_until_ms = None
        else:
            self._doubt(talk, who)
        parts.advance()
        if batch.cancelled:
            return "cancelled"
        waits = ending.delay_ms and parts.next <= parts.last
        return self._give_back(talk, self.now_ms + ending.delay_ms, "later") if waits else "ok"

    def _put_back(self, talk: Talk, who: str, ending: Ending) -> str:
        batch: Any = talk.batch
        parts, at_ms = batch.parts, self.now_ms + ending.delay_ms
        since_ms = self.now_ms if parts.since_ms is None else parts.since_ms
        parts.clear()
        if batch.cancelled:
            return "cancelled"
        if ending.end == "refused":
            self.held_until_ms = None
            self.counters["parts_refused"] += 1
        if ending.end == "refused" or (ending.give_up_ms and self.now_ms - since_ms >= ending.give_up_ms):
            return self._die(talk, who)
        parts.since_ms = since_ms
        if ending.end == "limited":
            self.rate_ms = max(self.rate_ms, at_ms)
        if ending.end == "misconfigured":
            self.held_until_ms = at_ms
        return self._give_back(talk, at_ms, "held" if ending.end == "misconfigured" else "later")

    def _die(self, talk: Talk, who: str) -> str:
        assert talk.batch
        talk.done = (talk.batch.token or "", "dead")
        self._bury(talk, who)
        self._rest(talk)
        return "dead"

    def _doubt(self, talk: Talk, who: str) -> None:
        batch: Any = talk.batch
        parts = batch.parts
        self.doubts[part_id(batch)] = ModelDoubt(who, self.now_ms, parts.next, batch.answer, parts.prints, batch.name)
        self.counters["parts_in_doubt"] += 1

    def _settle_sending(self, talk: Talk, *, again: bool = False) -> None:
        """Nobody will report the end of the part that is marked."""
        if not talk.batch or not talk.batch.parts or not talk.batch.parts.sending:
            return
        parts = talk.batch.parts
        if again:
            self.sent_texts[self._name_of(talk), parts.prints[parts.next - 1]] = part_id(talk.batch)
        if again and not parts.seen:
            parts.clear()
            parts.since_ms = self.now_ms
            return
        if parts.seen:
            self.counters["parts_sent"] += 1
        else:
            self._doubt(talk, self._name_of(talk))
        parts.advance()

    def _name_of(self, talk: Talk) -> str:
        return next(who for who, each in self.talks.items() if each is talk)

    def _take_over(self, talk: Talk, who: str) -> None:
        self._settle_sending(talk, again=self.settings.reply_in_doubt == "resend")
        super()._take_over(talk, who)

    def _drop(self, talk: Talk) -> int:
        self._settle_sending(talk)
        return super()._drop(talk)

    def _bury(self, talk: Talk, who: str) -> None:
        self._settle_sending(talk)
        if talk.batch and talk.batch.parts:
            talk.batch.parts.clear()
        super()._bury(talk, who)

    def _bury_doubt(self, doubt_id: str, doubt: ModelDoubt) -> None:
        parts = Parts(doubt.prints, doubt.number, doubt.number)
        letter = Sealed([], "manual", self.now_ms, doubt.name, doubt_id, doubt.answer, parts=parts)
        self.letters[doubt_id] = (doubt.who, letter)

    def _find(self, *ids: str | None) -> tuple[str, str]:
        return next((self.sent_ids[each] for each in ids if each in self.sent_ids), ("", ""))

    def _resolve(self, doubt_id: str) -> bool:
        if not self.doubts.pop(doubt_id, None):
            return False
        self.counters["doubts_resolved"] += 1
        self.counters["parts_sent"] += 1
        return True

    def _evidence(self, who: str, part: str) -> None:
        batch = self.talks[who].batch
        if batch and batch.parts and part_id(batch) == part:
            if batch.parts.sending:
                batch.parts.seen = True
            else:
                self.counters["parts_sent"] += 1
                batch.parts.advance()
        else:
            self._resolve(part)

    def _is_ours(self, who: str, message: OwnMessage) -> bool:
        holder, part = self._find(message.message_id, message.own_id)
        if not holder and (part := self._like(who, message.text_print)):
            holder = who
            if message.message_id:
                self.sent_ids[message.message_id] = (who, part)
        if holder:
            self._evidence(holder, part)
        return bool(holder)

    def _like(self, who: str, text_print: bytes) -> str:
        """The part of a conversation with this text that may have been sent, the one under way first."""
        if text_print in (b"", NO_PRINT):
            return ""
        batch = self.talks[who].batch
        parts = batch.parts if batch else None
        if batch and parts and parts.sending and not parts.seen and parts.prints[parts.next - 1] == text_print:
            return part_id(batch)
        for doubt_id, doubt in self.doubts.items():
            is_recent = self.now_ms - doubt.since_ms <= ECHO_MAX_MS
            if doubt.is_noted and doubt.who == who and doubt.text_print == text_print and is_recent:
                return doubt_id
        return self.sent_texts.pop((who, text_print), "")


def part_id(batch: Sealed) -> str:
    """The name of the part of a batch that is sent next."""
    return f"{batch.flush_id}.{batch.parts.next}"
