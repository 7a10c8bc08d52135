"""A small model of one partition: what every operation must answer, and what must lie where after it.

Written from docs/invariants.md, not from the scripts. Times in milliseconds; a token is `<fence>:<caller>`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from buffer import script_calls
from buffer.deadlines import typing_window_ms
from buffer.models import SUSPECT_CRASHES
from buffer.presence import PresenceKind
from config.settings import Settings
from tests.held_burst import HeldBurst
from tests.property.model_counts import TURN_GAP_MS
from tests.property.model_restarts import ModelRestarts, restarts_max
from tests.property.model_state import LASTING, ModelMessage, Sealed, Talk

PRESENCE_NOTED_MS = 10_000
"""presence.lua notes a person's last signal no more often."""


class Model(ModelRestarts):
    """All conversations, the dead letters, and what became of every message."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.hold_until_ms = 0
        self.talks: defaultdict[str, Talk] = defaultdict(Talk)
        self.letters: dict[str, tuple[str, Sealed]] = {}
        self.refused = self.lost = 0

    def append(
        self, who: str, said: ModelMessage, nonce: bytes, name: str | None, route: Settings
    ) -> tuple[str, int, int]:
        talk = self.talks[who]
        self._note_day()
        for known, seconds, first in talk.seen:
            if known == said.id and not self._forgotten(seconds):
                status = "new" if first == nonce else "duplicate"
                self.counters["messages_duplicate"] += status == "duplicate"
                return status, talk.deadline_ms, len(talk.buffer)
        while talk.seen and self._forgotten(talk.seen[0][1]):
            talk.seen.pop(0)
        talk.seen.append((said.id, math.ceil(self.now_ms / 1000), nonce))
        if self._paused(talk) and talk.takeover:
            self._discarded([said])
            self.refused += 1
            return "discarded", 0, 0
        self.counters["messages_accepted"] += 1
        talk.opened_ms = talk.opened_ms if talk.buffer else self.now_ms
        taken_back = self._take_back(talk, said, restarts_max(route))
        self._count_gap(talk)
        talk.buffer.append(said)
        talk.known, talk.name, talk.idle_since_ms = True, name or talk.name, None
        if len(talk.buffer) == 1:
            talk.is_held = talk.has_let_go = False
        talk.window_ms = self._window_ms(talk, said.window_ms)
        self._schedule(talk, taken_back)
        return "new", talk.deadline_ms, len(talk.buffer)

    def _window_ms(self, talk: Talk, own_ms: int) -> int:
        """The window of the newest message: a shorter one after the first, or for a person whose typing is seen."""
        is_first = len(talk.buffer) == 1 and not (talk.batch or talk.redrive)
        has_first = is_first and self.settings.message_buffer_first != "normal"
        window_ms = self.settings.first_ms if has_first else own_ms
        return typing_window_ms(window_ms, self.settings.typing_window_ms, talk.presence_ms, self.now_ms)

    def presence(self, who: str, kind: PresenceKind) -> int:
        talk = self.talks[who]
        if talk.known and self.now_ms - (talk.presence_ms or 0) >= PRESENCE_NOTED_MS:
            talk.presence_ms = self.now_ms
        if not talk.buffer or talk.fired:
            return 0
        quiet_ms = talk.buffer[-1].received_ms + talk.window_ms
        before = HeldBurst(talk.opened_ms, quiet_ms, talk.deadline_ms, talk.is_held, talk.has_let_go)
        after = before.after(kind, self.now_ms, self.settings)
        talk.deadline_ms, talk.is_held, talk.has_let_go = after[2:]
        return after.deadline_ms if after != before else 0

    def claim(self, who: str, caller: str) -> tuple[str, Any]:
        result = self._claim(who, caller)
        self.counters["claims_busy"] += result[0] == "busy"
        return result

    def _claim(self, who: str, caller: str) -> tuple[str, Any]:
        talk = self.talks[who]
        if talk.batch and self._leased(talk):
            mine = talk.batch.token == f"{talk.fence}:{caller}"
            return ("batch", talk.batch) if mine else ("busy", talk.batch.lease_until_ms)
        if talk.batch and talk.batch.retry_at_ms > self.now_ms and not talk.batch.is_superseded:
            return "busy", talk.batch.retry_at_ms
        if talk.batch and talk.batch.token and self.hold_until_ms > self.now_ms:
            return "busy", self.hold_until_ms
        self._take_over(talk, who)
        if self._paused(talk):
            return "paused", talk.paused_until_ms
        talk.paused_until_ms = 0
        return self._next(talk) or ("batch", self._lease(talk, caller))

    def hold(self, who: str, token: str, **change: Any) -> str:
        """renew: change the batch in hand."""
        talk = self.talks[who]
        if not talk.batch or talk.batch.token != token:
            return "superseded" if self._ended(talk, token) and talk.done[1] == "superseded" else "lost"
        if talk.batch.cancelled or talk.batch.is_superseded:
            return "cancelled" if talk.batch.cancelled else "superseded"
        talk.batch = replace(talk.batch, **change)
        return "ok"

    def answered(self, who: str, token: str, answer: bytes, memory: bytes = b"") -> str:
        talk = self.talks[who]
        if self._ended(talk, token):
            return talk.done[1]
        if self.is_stopped(talk, token):
            return self._stop(talk, token)
        self._count_answer(talk, token, answer)
        outcome = self.hold(who, token, answer=answer, answered_by=talk.fence)
        talk.memory = memory if memory and outcome == "ok" else talk.memory
        return outcome

    def end(self, who: str, token: str, mode: str, delay_ms: int = 0) -> str:
        """ack, retry, dead and release: the holder lets go of the batch."""
        talk = self.talks[who]
        batch = talk.batch
        if not batch or batch.token != token:
            return talk.done[1] if self._ended(talk, token) else "lost"
        batch.failures += mode in ("retry", "dead")
        self.counters["agent_failures"] += mode in ("retry", "dead", "unreached")
        if self.is_stopped(talk, token):
            return self._stop(talk, token)
        if batch.cancelled:
            outcome = "cancelled"
            self._drop(talk)
        elif mode == "ack":
            outcome, talk.batch, talk.acked_ms = "ok", None, self.now_ms
            talk.memory = batch.new_memory or talk.memory
            self.counters["acked"] += 1
            self.ended["acked"] += len(batch.messages)
        elif mode == "dead" or batch.failures >= self.settings.agent_max_attempts:
            outcome = "dead"
            self._bury(talk, who) if batch.messages or batch.answer else self._drop(talk)
        else:
            outcome, batch.token, batch.retry_at_ms = "ok", None, self.now_ms + delay_ms
        talk.done = (token, outcome)
        self._rest(talk)
        return outcome

    def flush_now(self, who: str) -> int:
        talk = self.talks[who]
        if talk.buffer and not talk.fired:
            talk.fired, talk.deadline_ms = "manual", self.now_ms
        return len(talk.buffer)

    def discard(self, who: str) -> tuple[int, bool]:
        talk = self.talks[who]
        messages = self._discard_window(talk)
        if talk.batch and self._leased(talk):
            self._cancel(talk)
            return messages, True
        messages += self._drop(talk)
        if talk.known:
            self._rest(talk)
        return messages, False

    def erase(self, who: str) -> tuple[int, int]:
        """Forget a person with their dead letters. Return how many messages and dead letters these were."""
        talk = self.talks.pop(who, Talk())
        letters = [self.letters.pop(flush_id)[1] for flush_id in self.letters_of(who)]
        batches = [talk.batch, *letters] if talk.batch else letters
        messages = talk.buffer + [said for batch in batches for said in batch.messages]
        return self._discarded(messages), len(letters)

    def letters_of(self, who: str) -> list[str]:
        """Return the flush_ids of a person's dead letters."""
        return [flush_id for flush_id, (holder, _) in self.letters.items() if holder == who]

    def redrive(self, flush_id: str, *, is_counted: bool = True) -> str:
        if flush_id not in self.letters:
            return "unknown"
        who, letter = self.letters[flush_id]
        talk = self.talks[who]
        if flush_id in talk.redrive:
            return "already"
        self.counters["redriven"] += is_counted
        talk.redrive.append(flush_id)
        talk.known, talk.name, talk.idle_since_ms = True, talk.name or letter.name, None
        return "ok"

    def pause(self, who: str, pause_ms: int, takeover: bool) -> int:
        talk = self.talks[who]
        talk.known, talk.idle_since_ms = True, None
        talk.paused_until_ms, talk.takeover = self.now_ms + pause_ms, takeover
        if takeover:
            self._discard_window(talk)
            if talk.batch and self._leased(talk):
                self._cancel(talk)
            else:
                self._drop(talk)
        return talk.paused_until_ms

    def resume(self, who: str) -> bool:
        talk = self.talks[who]
        paused, talk.paused_until_ms = talk.paused_until_ms, 0
        if paused:
            self._rest(talk)
        return paused > 0

    def sweep(self) -> int:
        before_ms = self.now_ms - self.settings.dedupe_ttl_ms
        gone = [who for who, talk in self.talks.items() if (talk.idle_since_ms or math.inf) <= before_ms]
        for who in gone:
            del self.talks[who]
        self._age_gaps()
        return len(gone)

    def repair(self) -> None:
        for talk in self.talks.values():
            if talk.idle_since_ms is None:
                self._rest(talk)

    def is_held(self, who: str) -> bool:
        """Does a conversation hold something, or a pause?"""
        talk = self.talks[who]
        return bool(talk.buffer or talk.batch or talk.redrive or self._paused(talk))

    def need_ms(self, who: str) -> float:
        """The latest moment at which somebody must look at a conversation; infinite when nobody must."""
        talk = self.talks[who]
        if talk.batch and self._leased(talk):
            return talk.batch.lease_until_ms
        held_ms = talk.paused_until_ms
        if talk.batch:
            retry_at_ms = 0 if talk.batch.is_superseded else talk.batch.retry_at_ms
            return max(retry_at_ms, talk.batch.lease_until_ms if talk.batch.token else 0, held_ms)
        if talk.redrive or talk.buffer:
            return max(0 if talk.redrive else talk.deadline_ms, held_ms)
        return held_ms if self._paused(talk) and talk.idle_since_ms is None else math.inf

    def _ended(self, talk: Talk, token: str) -> bool:
        """Did this token end its batch, and no other since?"""
        return talk.done[0] == token and not (talk.batch and talk.batch.token == token)

    def _forgotten(self, seconds: int) -> bool:
        return seconds * 1000 + self.settings.dedupe_ttl_ms < self.now_ms

    def _paused(self, talk: Talk) -> bool:
        return talk.paused_until_ms > self.now_ms

    def _leased(self, talk: Talk) -> bool:
        return bool(talk.batch and talk.batch.token and talk.batch.lease_until_ms > self.now_ms)

    def _schedule(self, talk: Talk, taken_back: Sequence[ModelMessage] | None = None) -> None:
        """The open burst's deadline from its messages, and those that go back to it; one that has fired stays.

        `taken_back` is None for what a seal has left, and not for the burst of a new message.
        """
        if talk.fired:
            return
        messages = [*(taken_back or ()), *talk.buffer]
        settings = self.settings
        closing = talk.buffer[: settings.message_buffer_max_messages] if taken_back is None else talk.buffer[-1:]
        reasons = {
            "disabled": not settings.message_buffer_enabled,
            "keyword": any(said.keyword for said in closing),
            "max_messages": len(messages) >= settings.message_buffer_max_messages,
            "max_bytes": sum(said.size for said in messages) >= settings.message_buffer_max_bytes,
        }
        talk.fired = next((reason for reason, applies in reasons.items() if applies), None)
        quiet_ms = min(talk.buffer[-1].received_ms + talk.window_ms, talk.opened_ms + settings.max_wait_ms)
        talk.deadline_ms = self.now_ms if talk.fired else quiet_ms

    def _seal(self, talk: Talk) -> Sealed:
        most = self.settings.message_buffer_max_messages if self.settings.message_buffer_enabled else 1
        size = 1
        while size < min(most, len(talk.buffer)) and (
            sum(said.size for said in talk.buffer[: size + 1]) <= self.settings.message_buffer_max_bytes
        ):
            size += 1
        taken, talk.buffer = talk.buffer[:size], talk.buffer[size:]
        waited_out = talk.deadline_ms >= talk.opened_ms + self.settings.max_wait_ms
        reason = talk.fired or ("max_wait" if waited_out else "quiet")
        closed_ms = max(talk.deadline_ms, taken[-1].received_ms)
        talk.deadline_ms, talk.fired, talk.last_sealed_ms = 0, None, taken[-1].received_ms
        talk.acked_ms = None
        talk.sealed_turn_split = talk.turn_split
        self._count_flush(reason, len(taken))
        sealed = Sealed(sorted(taken, key=lambda said: said.order_ms), reason, closed_ms, talk.name)
        sealed.opened_ms, sealed.waited_ms = talk.opened_ms, max(0, self.now_ms - taken[-1].received_ms)
        self.waits[sealed.waited_ms] += 1
        sealed.supersedes, sealed.crashes = self._close_burst(talk)
        if talk.buffer:
            talk.is_held = False
            gap_ms = talk.buffer[0].received_ms - taken[-1].received_ms
            if self.settings.message_buffer_enabled and gap_ms <= TURN_GAP_MS:
                self._count_split(talk)
            talk.opened_ms = talk.buffer[0].received_ms
            self._schedule(talk)
        return sealed

    def _next(self, talk: Talk) -> tuple[str, Any] | None:
        """A batch for a conversation: the one in hand, a letter asked for, or the open burst; or why there is none."""
        if not talk.batch and talk.redrive:
            letter = self.letters.pop(talk.redrive.pop(0))[1]
            talk.batch = Sealed(**{name: getattr(letter, name) for name in LASTING}, is_redriven=True)
            if letter.messages:  # a part alone tells nothing of when its person spoke
                talk.acked_ms = None
                talk.last_sealed_ms = max(said.received_ms for said in letter.messages)
        if not talk.batch and not talk.buffer:
            self._rest(talk)
            return "empty", None
        if not talk.batch and talk.deadline_ms > self.now_ms:
            return "early", talk.deadline_ms
        talk.batch = talk.batch or self._seal(talk)
        return None

    def _lease(self, talk: Talk, caller: str) -> Sealed:
        assert talk.batch
        talk.fence += 1
        talk.batch.claims += 1
        talk.batch.token = f"{talk.fence}:{caller}"
        talk.batch.lease_until_ms = self.now_ms + self.settings.lease_ms
        return talk.batch

    def _take_over(self, talk: Talk, who: str) -> None:
        """What the next claim makes of a batch whose holder vanished."""
        if talk.batch and talk.batch.token:
            talk.batch.crashes, talk.batch.token = talk.batch.crashes + 1, None
            self.counters["leases_recovered"] += 1
        batch = talk.batch
        if batch and (batch.cancelled or not (batch.messages or batch.answer)):
            self._drop(talk)
        elif batch and batch.is_superseded and batch.crashes < SUSPECT_CRASHES:
            self._rejoin(talk)
        elif batch and batch.crashes >= script_calls.MAX_CRASHES:
            self._bury(talk, who)
        elif batch and batch.is_superseded:
            self._stays(talk, batch)

    def _bury(self, talk: Talk, who: str) -> None:
        assert talk.batch
        self.letters[talk.batch.flush_id] = (who, talk.batch)
        self.counters["dead_letters"] += 1
        talk.batch = None

    def _drop(self, talk: Talk) -> int:
        batch, talk.batch = talk.batch, None
        return self._discarded(batch.messages if batch else [])

    def _discard_window(self, talk: Talk) -> int:
        messages, talk.buffer, talk.deadline_ms, talk.fired = talk.buffer, [], 0, None
        self._close_burst(talk)
        return self._discarded(messages)

    def _discarded(self, messages: list[ModelMessage]) -> int:
        self.counters["messages_discarded"] += len(messages)
        self.ended["discarded"] += len(messages)
        return len(messages)

    def _rest(self, talk: Talk) -> None:
        """A conversation that holds nothing and is not paused is idle from now on."""
        if talk.known and not (talk.buffer or talk.batch or talk.redrive or self._paused(talk)):
            talk.idle_since_ms = self.now_ms
