"""What the model of tests/property/reference_model.py counts. docs/counters.md says what each counter counts."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter

from buffer.censored_gaps import HELD_SEEN_MS, READ_MAX, silent_bucket
from buffer.insight_models import BOUNDS_MS
from buffer.models import Reason
from config.settings import Settings
from tests.property.model_state import Talk

COUNTED = (
    "messages_accepted",
    "messages_duplicate",
    "messages_discarded",
    *(f"flushes_{reason}" for reason in Reason),
    "flushes_single",
    "flush_messages",
    "turns",
    "turns_split",
    "bursts_split",
    "claims_busy",
    "acked",
    "agent_failures",
    "dead_letters",
    "redriven",
    "leases_recovered",
    "answers_again",
    "flushes_superseded",
)
"""The counters that the model predicts."""

GAP_MAX_MS, TURN_GAP_MS, ANSWER_READ_MS, DAY_MS = 120_000, 60_000, 3_000, 86_400_000


class ModelCounts:
    """The counters of a channel, and the histograms of the gaps between messages."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.now_ms = 0
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self.gaps: Counter[str] = Counter()
        self.waits: Counter[int] = Counter()
        self.gap_day: int | None = None

    def _count_gap(self, talk: Talk) -> None:
        """A gap to the message before, unless its person was silent for long; or up to a read answer, or a hold."""
        if not self.settings.message_buffer_enabled:
            return
        last_ms = talk.buffer[-1].received_ms if talk.buffer else talk.last_sealed_ms
        has_read = last_ms is not None and self._has_read_answer(talk, last_ms)
        gap_ms = math.inf if last_ms is None else self.now_ms - last_ms
        silent_ms = (talk.acked_ms or 0) + ANSWER_READ_MS - (last_ms or 0) if has_read else None
        if not has_read and talk.buffer and talk.is_held and gap_ms > talk.window_ms + HELD_SEEN_MS:
            silent_ms = talk.window_ms + HELD_SEEN_MS
        self._count_in_bucket(gap_ms, silent_ms)
        gap_ms = math.inf if has_read else gap_ms
        talk.turn_split = talk.turn_split if talk.buffer else talk.sealed_turn_split
        if gap_ms > TURN_GAP_MS:
            self.counters["turns"] += 1
            talk.turn_split = False
        elif not (talk.buffer or (talk.batch and talk.batch.is_superseded)):
            self._count_split(talk)

    def _count_in_bucket(self, gap_ms: float, silent_ms: int | None) -> None:
        """A gap; or to the end of which bucket nobody had gone on, which chance rounds."""
        if silent_ms is None:
            if gap_ms <= GAP_MAX_MS:
                self.gaps[str(bisect_left(BOUNDS_MS["gap"], gap_ms))] += 1
        elif (bucket := silent_bucket(silent_ms, self.now_ms % 64 / 64)) <= READ_MAX:
            self.gaps[f"read:{bucket}"] += 1

    def _count_split(self, talk: Talk) -> None:
        """A turn goes on in another burst; it may have been split before."""
        self.counters["bursts_split"] += 1
        self.counters["turns_split"] += not talk.turn_split
        talk.turn_split = True

    def _has_read_answer(self, talk: Talk, last_ms: int) -> bool:
        """Has the person had the time to read an answer to all that was said?"""
        has_answer = talk.acked_ms is not None and talk.acked_ms > last_ms and not talk.batch
        return has_answer and self.now_ms - (talk.acked_ms or 0) > ANSWER_READ_MS

    def _age_gaps(self) -> None:
        """Halve the gaps once for each day that has begun since they were aged, or since the first count."""
        if self.gap_day is not None:
            halves = 2 ** max(0, self._today() - self.gap_day)
            self.gaps = Counter({bucket: count // halves for bucket, count in self.gaps.items()})
            self.gap_day = self._today()

    def _note_day(self) -> None:
        """The gaps are as old as the first count of the channel."""
        self.gap_day = self._today() if self.gap_day is None else self.gap_day

    def _today(self) -> int:
        return self.now_ms // DAY_MS

    def _count_flush(self, reason: str, messages: int) -> None:
        self.counters[f"flushes_{reason}"] += 1
        self.counters["flushes_single"] += messages == 1
        self.counters["flush_messages"] += messages

    def _count_answer(self, talk: Talk, token: str, answer: bytes) -> None:
        """A second answer is another one, or one under another lease."""
        batch = talk.batch
        if batch and batch.token == token and not batch.cancelled and batch.answer is not None:
            self.counters["answers_again"] += (batch.answer, batch.answered_by) != (answer, talk.fence)
